package kube

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// PodSink takes the pods of a list, one at a time, so that a list of any length needs the memory of one pod.
type PodSink interface {
	Restart()                 // forget what was added: the list begins anew
	Add(encoded []byte) error // a Pod in protobuf; the bytes are another pod's after the call
}

// fallbackPage is the size of the pages that are read where one answer cannot be.
const fallbackPage = 500

// EachPod lists the pods of all namespaces from the API server's memory (resourceVersion=0) in one answer, and hands each on as it
// arrives. What does not arrive whole is read again in pages with the typed client: an answer that takes longer than the
// server's limit of 60 s ends in the middle, and each page has its own.
func EachPod(ctx context.Context, client corev1client.CoreV1Interface, sink PodSink) error {
	body, err := client.RESTClient().Get().Resource("pods").Param("resourceVersion", "0").
		SetHeader("Accept", runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON).Stream(ctx)
	switch {
	case err == nil:
		err = readPods(body, sink)
		_ = body.Close() // nothing more is read of it
		if err == nil {
			return nil
		}
	case !apierrors.IsTimeout(err):
		return err
	}
	if ctx.Err() != nil {
		return err
	}
	sink.Restart()
	options := metav1.ListOptions{Limit: fallbackPage}
	for {
		page, err := client.Pods("").List(ctx, options)
		if err != nil {
			return err
		}
		if err := addPods(page, sink); err != nil {
			return err
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nil
		}
	}
}

func addPods(list *corev1.PodList, sink PodSink) error {
	for i := range list.Items {
		encoded, err := list.Items[i].Marshal()
		if err != nil {
			return err
		}
		if err := sink.Add(encoded); err != nil {
			return err
		}
	}
	return nil
}

// protobufMagic begins every answer of the API server in protobuf
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding).
var protobufMagic = []byte("k8s\x00")

// maxPod is more than etcd stores of one object (1.5 MB), and bounds what a wrong length makes this allocate.
const maxPod = 8 << 20

// Fields of runtime.Unknown and of corev1.PodList.
const (
	unknownTypeMeta, unknownRaw   = 1, 2
	podListMetadata, podListItems = 1, 2
)

// readPods reads a PodList, in protobuf as it arrives, or in JSON whole.
func readPods(body io.Reader, sink PodSink) error {
	r := &wireReader{in: bufio.NewReaderSize(body, 64<<10)}
	if start, err := r.in.Peek(len(protobufMagic)); err != nil || !bytes.Equal(start, protobufMagic) {
		return readJSON(r.in, sink)
	}
	if _, err := r.in.Discard(len(protobufMagic)); err != nil {
		return err
	}
	known, read := false, false
	for {
		field, size, err := r.next()
		switch {
		case errors.Is(err, io.EOF) && read:
			return nil
		case err != nil:
			return err
		case field == unknownTypeMeta:
			if known, err = r.isPodList(size); err != nil {
				return err
			}
		case field == unknownRaw && known && !read:
			if err := r.podList(size, sink); err != nil {
				return err
			}
			read = true
		case field == unknownRaw:
			return errors.New("the answer is no PodList")
		default:
			if _, err := r.take(size); err != nil {
				return err
			}
		}
	}
}

// isPodList reads the kind of what follows.
func (r *wireReader) isPodList(size uint64) (bool, error) {
	data, err := r.take(size)
	if err != nil {
		return false, err
	}
	var meta runtime.TypeMeta
	err = meta.Unmarshal(data)
	return meta.Kind == "PodList" && meta.APIVersion == "v1", err
}

func readJSON(in io.Reader, sink PodSink) error {
	var list corev1.PodList
	if err := json.NewDecoder(in).Decode(&list); err != nil {
		return err
	}
	if list.Kind != "PodList" || list.Continue != "" {
		return fmt.Errorf("unexpected answer of kind %q", list.Kind)
	}
	return addPods(&list, sink)
}

// wireReader reads fields of protobuf messages from a stream.
type wireReader struct {
	in     *bufio.Reader
	read   uint64 // bytes so far
	buffer []byte
}

func (r *wireReader) ReadByte() (byte, error) {
	b, err := r.in.ReadByte()
	if err == nil {
		r.read++
	}
	return b, err
}

// next gives the number and size of the next field; the messages that are read here have none but those with a length.
func (r *wireReader) next() (field, size uint64, err error) {
	if _, err := r.in.Peek(1); err != nil {
		return 0, 0, err
	}
	tag, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, 0, io.ErrUnexpectedEOF
	}
	if tag&7 != wireBytes {
		return 0, 0, fmt.Errorf("field %d has wire type %d", tag>>3, tag&7)
	}
	if size, err = binary.ReadUvarint(r); err != nil {
		return 0, 0, io.ErrUnexpectedEOF
	}
	return tag >> 3, size, nil
}

// take reads that many bytes; they are others after the next call.
func (r *wireReader) take(size uint64) ([]byte, error) {
	if size > maxPod {
		return nil, fmt.Errorf("a field of %d bytes", size)
	}
	if uint64(cap(r.buffer)) < size {
		r.buffer = make([]byte, size+size/2)
	}
	r.buffer = r.buffer[:size]
	n, err := io.ReadFull(r.in, r.buffer)
	r.read += uint64(n)
	if err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return r.buffer, nil
}

// podList reads a PodList of that many bytes.
func (r *wireReader) podList(size uint64, sink PodSink) error {
	for from := r.read; r.read-from < size; {
		field, length, err := r.next()
		if err != nil {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
		data, err := r.take(length)
		if err != nil {
			return err
		}
		if r.read-from > size {
			return errors.New("a field is longer than its list")
		}
		switch field {
		case podListMetadata:
			var meta metav1.ListMeta
			if err := meta.Unmarshal(data); err != nil {
				return err
			}
			if meta.Continue != "" {
				return errors.New("the list is not whole")
			}
		case podListItems:
			if err := sink.Add(data); err != nil {
				return err
			}
		}
	}
	return nil
}
