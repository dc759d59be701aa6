package finding

// Entry is one finding code as the catalog describes it (docs/findings, --explain). A plugin exports its entries as
// Catalog(), sorted by code.
type Entry struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"` // the worst it is reported with
	Title    string   `json:"title"`
	Meaning  string   `json:"meaning"`  // what is true when it fires, and what it is not
	Evidence string   `json:"evidence"` // what it is seen by, with thresholds
	Next     string   `json:"next"`     // what to do
	Source   string   `json:"source,omitempty"`
}
