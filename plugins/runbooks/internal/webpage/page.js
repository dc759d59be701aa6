
"use strict";
// Tables sort by a click on a head and filter by words; what a cell shows is never more than text.
(function () {
  function value(row, column) {
    var cell = row.cells[column];
    var text = cell.hasAttribute("data-sort") ? cell.getAttribute("data-sort") : cell.textContent.trim();
    return { text: text, number: text !== "" && isFinite(text) ? Number(text) : null };
  }
  function compare(a, b) {
    if (a.number !== null && b.number !== null) { return a.number - b.number; }
    if (a.number !== null || b.number !== null) { return a.number !== null ? -1 : 1; }
    return a.text.localeCompare(b.text, "en", { numeric: true });
  }
  function sort(table, heads, column) {
    var down = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach(function (head) { head.removeAttribute("aria-sort"); });
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    var body = table.tBodies[0];
    var rows = Array.from(body.rows).map(function (row, at) { return { row: row, at: at, value: value(row, column) }; });
    rows.sort(function (a, b) { return (down ? -1 : 1) * compare(a.value, b.value) || a.at - b.at; });
    rows.forEach(function (x) { body.appendChild(x.row); });
  }
  function filter(table, box) {
    var rows = Array.from(table.tBodies[0].rows);
    var texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
    var label = document.createElement("label");
    var input = document.createElement("input");
    var count = document.createElement("output");
    label.className = "filter";
    label.append("Filter " + table.caption.textContent.toLowerCase(), input, count);
    input.type = "search";
    input.addEventListener("input", function () {
      var words = input.value.toLowerCase().split(/\s+/);
      var shown = 0;
      rows.forEach(function (row, i) {
        row.hidden = !words.every(function (word) { return texts[i].includes(word); });
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = input.value.trim() === "" ? "" : shown + " of " + rows.length;
    });
    box.before(label);
  }
  document.querySelectorAll("table").forEach(function (table) {
    var heads = Array.from(table.tHead.rows[0].cells);
    if (table.tBodies[0].rows.length > 1) {
      heads.forEach(function (head, column) {
        var button = document.createElement("button");
        button.type = "button";
        button.textContent = head.textContent;
        button.addEventListener("click", function () { sort(table, heads, column); });
        head.replaceChildren(button);
      });
    }
    if (table.tBodies[0].rows.length > 5) { filter(table, table.parentElement); }
  });
})();
