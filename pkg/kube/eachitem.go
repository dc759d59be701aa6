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
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/garbage"
)

// Sink takes the items of a list, one at a time, so that a list of any length needs the memory of one item.
type Sink interface {
	Restart()                 // forget what was added: the list begins anew
	Add(encoded []byte) error // an item in protobuf; the bytes are another item's after the call
}

// Items is a Sink that keeps of each decoded item what Keep makes of it.
type Items[T any, P decoded[T]] struct {
	Keep func(P)
	Kept []T
}

type decoded[T any] interface {
	*T
	Unmarshal(data []byte) error
}

// Restart forgets what was added.
func (s *Items[T, P]) Restart() { s.Kept = nil }

// Add decodes an item.
func (s *Items[T, P]) Add(encoded []byte) error {
	var item T
	if err := P(&item).Unmarshal(encoded); err != nil {
		return err
	}
	if s.Keep != nil {
		s.Keep(&item)
	}
	s.Kept = append(s.Kept, item)
	return nil
}

// counted is a Sink for which garbage is collected earlier once it has many items.
type counted struct {
	Sink

	items int
}

func (s *counted) Add(encoded []byte) error {
	s.items++
	garbage.Read(s.items)
	return s.Sink.Add(encoded)
}

// fallbackPage is the size of the pages that are read where one answer cannot be.
const fallbackPage = 500

// listed is a pointer to a typed list.
type listed[T any] interface {
	*T
	runtime.Object
	metav1.ListInterface
}

// Each lists a resource of a namespace ("": of all) in one answer, and hands each item on as it arrives; list reads the same with the
// typed client. Of the options the selectors count and the resource version: with "0" the API server answers from its memory. What
// does not arrive whole is read again in pages with the typed client: an answer that takes longer than the server's limit of
// 60 s ends in the middle, and each page has its own.
func Each[T any, L listed[T]](
	ctx context.Context, client rest.Interface, resource, namespace string, options metav1.ListOptions,
	list func(context.Context, metav1.ListOptions) (L, error), sink Sink,
) error {
	request := client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).
		SetHeader("Accept", runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON)
	for name, value := range map[string]string{
		"labelSelector": options.LabelSelector, "fieldSelector": options.FieldSelector, "resourceVersion": options.ResourceVersion,
	} {
		if value != "" {
			request.Param(name, value)
		}
	}
	sink = &counted{Sink: sink}
	sink.Restart()
	body, err := request.Stream(ctx)
	switch {
	case err == nil:
		err = readList[T, L](body, client.APIVersion().String(), sink)
		_ = body.Close() // nothing more is read of it
		if err == nil {
			return nil
		}
	case !apierrors.IsTimeout(err):
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	sink.Restart()
	options.Limit, options.ResourceVersion = fallbackPage, ""
	for {
		page, err := list(ctx, options)
		if err != nil {
			return err
		}
		if err := addItems(page, sink); err != nil {
			return err
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

func addItems(list runtime.Object, sink Sink) error {
	return meta.EachListItem(list, func(item runtime.Object) error {
		encoded, err := item.(interface{ Marshal() ([]byte, error) }).Marshal() // as every built-in kind
		if err != nil {
			return err
		}
		return sink.Add(encoded)
	})
}

// protobufMagic begins every answer of the API server in protobuf
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding).
var protobufMagic = []byte("k8s\x00")

// maxItem is more than etcd stores of one object (1.5 MB), and bounds what a wrong length makes this allocate.
const maxItem = 8 << 20

// Fields of runtime.Unknown, and of every list.
const (
	unknownTypeMeta, unknownRaw = 1, 2
	listMetadata, listItems     = 1, 2
)

// readList reads a list, in protobuf as it arrives, or in JSON whole.
func readList[T any, L listed[T]](body io.Reader, version string, sink Sink) error {
	want := runtime.TypeMeta{APIVersion: version, Kind: reflect.TypeFor[T]().Name()}
	in := bufio.NewReaderSize(body, 64<<10)
	if start, err := in.Peek(len(protobufMagic)); err == nil && bytes.Equal(start, protobufMagic) {
		return (&wireReader{in: in}).unknown(want, sink)
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var head struct {
		Kind  string          `json:"kind"`
		Items json.RawMessage `json:"items"`
	}
	list := L(new(T))
	if err := errors.Join(json.Unmarshal(data, &head), json.Unmarshal(data, list)); err != nil {
		return err
	}
	unnamed := head.Kind == "" && head.Items != nil // the typed client takes that, too
	if head.Kind != want.Kind && !unnamed || list.GetContinue() != "" {
		return fmt.Errorf("unexpected answer of kind %q", head.Kind)
	}
	return addItems(list, sink)
}

// unknown reads what the API server wraps each answer in.
func (r *wireReader) unknown(want runtime.TypeMeta, sink Sink) error {
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
			if known, err = r.isOf(want, size); err != nil {
				return err
			}
		case field == unknownRaw && known && !read:
			if err := r.list(size, sink); err != nil {
				return err
			}
			read = true
		case field == unknownRaw:
			return errors.New("the answer is no " + want.Kind)
		default:
			if _, err := r.take(size); err != nil {
				return err
			}
		}
	}
}

// isOf reads the kind of what follows.
func (r *wireReader) isOf(want runtime.TypeMeta, size uint64) (bool, error) {
	data, err := r.take(size)
	if err != nil {
		return false, err
	}
	var got runtime.TypeMeta
	err = got.Unmarshal(data)
	return got == want, err
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
	if size > maxItem {
		return nil, fmt.Errorf("a field of %d bytes", size)
	}
	if uint64(cap(r.buffer)) < size {
		r.buffer = make([]byte, size+size/2)
	}
	r.buffer = r.buffer[:size]
	n, err := io.ReadFull(r.in, r.buffer)
	r.read += uint64(n) //nolint:gosec // bytes that were read
	if err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return r.buffer, nil
}

// list reads a list of that many bytes.
func (r *wireReader) list(size uint64, sink Sink) error {
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
		case listMetadata:
			var head metav1.ListMeta
			if err := head.Unmarshal(data); err != nil {
				return err
			}
			if head.Continue != "" {
				return errors.New("the list is not whole")
			}
		case listItems:
			if err := sink.Add(data); err != nil {
				return err
			}
		}
	}
	return nil
}
