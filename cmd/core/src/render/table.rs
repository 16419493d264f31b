//! Tables: columns as wide as their contents, the last one wrapped to the width of the terminal.

use anstyle::Style;

use super::styled;
use super::words::wrap;
use core_host::harmless::harmless;

/// One cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    /// Plain text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: harmless(&text.into()), ..Self::default() }
    }

    /// Sets the style.
    pub(crate) fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Aligns a number to the right.
    pub(crate) fn right(mut self) -> Self {
        self.right = true;
        self
    }
}

/// With less room than this, texts go below their rows.
const LEAST_ROOM: usize = 30;
/// Their indentation there.
const INDENT: usize = 4;
/// The most lines of a text in a table.
const MOST_LINES: usize = 3;

/// Lays out rows as lines. The last column holds texts, which are wrapped between words; the others are not wrapped.
/// Empty columns are left out.
pub(crate) fn lay_out(head: &[&str], rows: &[Vec<Cell>], width: usize) -> Vec<String> {
    lay_out_within(head, rows, width, &[]).concat()
}

/// Like `lay_out`, but leaves out the columns `spare`, in their order, while the terminal is too narrow. Returns the
/// lines of the head, then those of each row.
pub(crate) fn lay_out_within(head: &[&str], rows: &[Vec<Cell>], width: usize, spare: &[usize]) -> Vec<Vec<String>> {
    let text = head.len().saturating_sub(1);
    let cells = |at: usize| rows.iter().filter_map(move |row| row.get(at));
    let mut used: Vec<bool> = (0..head.len()).map(|at| cells(at).any(|cell| !cell.text.is_empty())).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|at| cells(at).map(|cell| cell.text.chars().count()).chain([head[at].len()]).max().unwrap_or(0))
        .collect();
    let taken = |used: &[bool]| -> usize { (0..text).filter(|at| used[*at]).map(|at| widths[at] + 2).sum() };
    for at in spare {
        if taken(&used) > width + 2 {
            used[*at] = false;
        }
    }
    let before = taken(&used);
    let room = width.saturating_sub(before);
    // Either all texts are beside their rows or all below, so that the eye finds them in one place.
    let fits = |cell: &Cell| cell.text.chars().count() <= room && !cell.text.contains('\n');
    let is_beside = room >= LEAST_ROOM || cells(text).all(fits);
    let head_row: Vec<Cell> = head
        .iter()
        .enumerate()
        .map(|(at, word)| if used[at] && (at != text || is_beside) { *word } else { "" })
        .enumerate()
        .map(|(at, word)| Cell { right: cells(at).any(|cell| cell.right), ..Cell::new(word).style(super::DIM) })
        .collect();
    std::iter::once(&head_row)
        .chain(rows)
        .map(|row| {
            let mut line = Line::default();
            for (at, cell) in row.iter().enumerate().filter(|(at, _)| used[*at] && *at != text) {
                line.put(cell, widths[at]);
            }
            let Some(cell) = row.get(text).filter(|cell| !cell.text.is_empty()) else { return vec![line.done] };
            if is_beside {
                let mut parts = few(&cell.text, room).into_iter();
                line.put(&Cell { text: parts.next().unwrap_or_default(), ..cell.clone() }, 0);
                let below = parts.map(|part| format!("{}{}", " ".repeat(before), styled(cell.style, &part)));
                std::iter::once(line.done).chain(below).collect()
            } else {
                let below = few(&cell.text, width.saturating_sub(INDENT));
                let below = below.iter().map(|part| format!("{}{}", " ".repeat(INDENT), styled(cell.style, part)));
                std::iter::once(line.done).chain(below).collect()
            }
        })
        .collect()
}

/// A line, and the spaces before the next cell; so a line does not end in spaces.
#[derive(Default)]
struct Line {
    done: String,
    blanks: usize,
}

impl Line {
    fn put(&mut self, cell: &Cell, width: usize) {
        let padding = width.saturating_sub(cell.text.chars().count());
        if cell.text.is_empty() {
            self.blanks += width + 2;
            return;
        }
        let (left, right) = if cell.right { (padding, 0) } else { (0, padding) };
        self.done.push_str(&" ".repeat(self.blanks + left));
        self.done.push_str(&styled(cell.style, &cell.text));
        self.blanks = right + 2;
    }
}

/// A text in at most `MOST_LINES` lines; a longer one ends in `…`.
fn few(text: &str, width: usize) -> Vec<String> {
    let mut lines = wrap(text, width);
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        if let Some(last) = lines.last_mut() {
            let short: String = last.chars().take(width.saturating_sub(2)).collect();
            *last = format!("{} …", short.trim_end());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    fn row(words: [&str; 3]) -> Vec<Cell> {
        let [name, number, text] = words;
        vec![Cell::new(name), Cell::new(number).right(), Cell::new(text)]
    }

    #[test]
    fn texts_are_broken_beside_or_stand_beneath() {
        let rows = [row(["web", "7", "a text of several words that is too long"]), row(["pocketbase", "", ""])];
        let head = ["NAME", "NUMBER", "WHY"];
        let lines = plain(&lay_out(&head, &rows, 50));
        assert_eq!(
            lines,
            [
                "NAME        NUMBER  WHY",
                "web              7  a text of several words that",
                "                    is too long",
                "pocketbase",
            ]
        );
        let lines = plain(&lay_out(&head, &rows, 40));
        assert_eq!(
            lines,
            [
                "NAME        NUMBER",
                "web              7",
                "    a text of several words that is too",
                "    long",
                "pocketbase"
            ]
        );
    }

    #[test]
    fn a_column_that_can_be_spared_goes_first() {
        let rows = [row(["web", "7", ""])];
        let lines = lay_out_within(&["NAME", "NUMBER", "WHY"], &rows, 8, &[1]).concat();
        assert_eq!(plain(&lines), ["NAME", "web"]);
    }

    #[test]
    fn a_long_story_is_cut() {
        assert_eq!(few("one two three four five six seven", 9), ["one two", "three", "four fi …"]);
        assert_eq!(few("one two", 9), ["one two"]);
    }
}
