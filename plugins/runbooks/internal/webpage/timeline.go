package webpage

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// point is something that happened, or will, at a time.
type point struct {
	at   time.Time
	what string
	tone string
}

const (
	mostPoints = 16  // of a drawing; what is older is left to the tables
	apart      = 7.0 // percent of the width between two marks in one lane
	laneHeight = 24  // pixels
)

// timeline draws points on one line, from the first to the last, and lists them under their numbers. Marks that would cover each
// other stand in lanes above each other.
func (p *page) timeline(title string, points []point) {
	points = slices.DeleteFunc(points, func(x point) bool { return x.at.IsZero() })
	sorting.Stable(points, func(a, b point) int { return a.at.Compare(b.at) })
	points = slices.CompactFunc(points, func(a, b point) bool { return a.at.Equal(b.at) && a.what == b.what })
	left := max(0, len(points)-mostPoints)
	points = points[left:]
	if len(points) < 2 {
		return
	}
	first, last := points[0].at, points[len(points)-1].at
	if p.now.After(last) {
		last = p.now
	}
	place := func(t time.Time) float64 {
		if !last.After(first) {
			return 50
		}
		return 4 + 92*float64(t.Sub(first))/float64(last.Sub(first))
	}
	var ends []float64 // of each lane, its last mark
	lanes := make([]int, len(points))
	for i, x := range points {
		at := place(x.at)
		lane := slices.IndexFunc(ends, func(end float64) bool { return at-end >= apart })
		if lane < 0 {
			lane, ends = len(ends), append(ends, at)
		}
		ends[lane], lanes[i] = at, lane
	}
	p.element("h3", title)
	p.within("figure", func() {
		height := laneHeight*len(ends) + 6
		p.open("svg", class("timeline"), attribute{"height", strconv.Itoa(height)}, attribute{"aria-hidden", "true"})
		p.shape("line", "axis", "x1", "0", "x2", "100%", "y1", strconv.Itoa(height-2), "y2", strconv.Itoa(height-2))
		if !p.now.Before(first) && !p.now.After(last) {
			p.shape("line", "now", "x1", percent(place(p.now)), "x2", percent(place(p.now)), "y1", "0", "y2", strconv.Itoa(height))
		}
		for i, x := range points {
			at, y := percent(place(x.at)), height-2-laneHeight/2-lanes[i]*laneHeight
			p.shape("circle", x.tone, "cx", at, "cy", strconv.Itoa(y), "r", "10")
			p.element("text", strconv.Itoa(i+1), attribute{"x", at}, attribute{"y", strconv.Itoa(y + 4)}, attribute{"text-anchor", "middle"})
		}
		p.end("svg")
		p.within("figcaption", func() {
			p.element("span", stamp(first))
			p.element("span", stamp(last))
		})
	})
	p.within("ol", func() {
		for _, x := range points {
			p.within("li", func() {
				p.clock(x.at)
				p.WriteString(" ")
				p.long(x.what)
			})
		}
	}, class("times"))
	if left > 0 {
		p.element("p", fmt.Sprintf("%d older not drawn.", left), class("quiet"))
	}
}

func percent(value float64) string { return fmt.Sprintf("%.2f%%", value) }

// shape writes an element of a drawing with attributes in pairs.
func (p *page) shape(tag, of string, pairs ...string) {
	attributes := []attribute{class(of)}
	for i := 0; i < len(pairs); i += 2 {
		attributes = append(attributes, attribute{pairs[i], pairs[i+1]})
	}
	p.open(tag, attributes...)
	p.WriteString("</" + tag + ">")
}
