package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// customColumn is a column of -o custom-columns: where its values are in a report.
type customColumn struct {
	header string
	path   *jsonpath.JSONPath
}

// parseColumns reads HEADER:PATH,HEADER:PATH as kubectl does.
func parseColumns(spec string) ([]customColumn, error) {
	var columns []customColumn
	for _, part := range strings.Split(spec, ",") {
		header, template, found := strings.Cut(part, ":")
		if !found || header == "" || strings.TrimSpace(template) == "" {
			return nil, fmt.Errorf("%q is not HEADER:PATH", part)
		}
		path, err := parseJSONPath(template)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		columns = append(columns, customColumn{header, path})
	}
	return columns, nil
}

// printColumns prints a row for each item of a list, or one for a report that is none.
func (f Format) printColumns(w io.Writer, report any) error {
	columns, err := parseColumns(f.Template)
	if err != nil {
		return err
	}
	items := []any{report}
	if v, field := itemsOf(report); field >= 0 {
		items = make([]any, v.Field(field).Len())
		for i := range items {
			items[i] = v.Field(field).Index(i).Interface()
		}
	}
	table := TableText{}
	for _, c := range columns {
		table.Columns = append(table.Columns, Column{Header: c.header})
	}
	for _, item := range items {
		row, err := cellsOf(item, columns)
		if err != nil {
			return err
		}
		table.Rows = append(table.Rows, Text(row...))
	}
	return table.Fprint(w, TableOptions{NoHeaders: f.NoHeaders})
}

func cellsOf(item any, columns []customColumn) ([]string, error) {
	if deferred, ok := item.(Deferred); ok {
		item = deferred.Complete()
	}
	data, err := json.Marshal(item)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // whole numbers stay whole
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var row []string
	for _, c := range columns {
		results, err := c.path.FindResults(value)
		if err != nil {
			return nil, fmt.Errorf("-o custom-columns, column %s: %w", c.header, err)
		}
		var texts []string
		for _, result := range results {
			for _, v := range result {
				texts = append(texts, cellText(v))
			}
		}
		if len(texts) == 0 {
			texts = []string{"<none>"}
		}
		row = append(row, strings.Join(texts, ","))
	}
	return row, nil
}

func cellText(v reflect.Value) string {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return "<none>"
	}
	return fmt.Sprint(v.Interface())
}
