//! Tables: columns as wide as what stands in them, the last one cut to the terminal.

use anstyle::Style;

use super::styled;

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
        Self { text: text.into(), ..Self::default() }
    }

    /// In a style.
    pub(crate) fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// A number: to the right.
    pub(crate) fn right(mut self) -> Self {
        self.right = true;
        self
    }
}

/// Puts rows under each other. Columns in which nothing stands are left out, but for their head.
pub(crate) fn lay_out(head: &[&str], rows: &[Vec<Cell>], width: usize) -> Vec<String> {
    let used: Vec<bool> = (0..head.len())
        .map(|at| rows.iter().any(|row| row.get(at).is_some_and(|cell| !cell.text.is_empty())))
        .collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            rows.iter()
                .filter_map(|row| row.get(at))
                .map(|cell| cell.text.chars().count())
                .chain([head[at].len()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let last = used.iter().rposition(|used| *used).unwrap_or(0);
    let head_row: Vec<Cell> = head
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let is_number = rows.iter().any(|row| row.get(at).is_some_and(|cell| cell.right));
            let cell = Cell::new(*text).style(super::DIM);
            if is_number { cell.right() } else { cell }
        })
        .collect();
    std::iter::once(&head_row)
        .chain(rows)
        .map(|row| {
            let mut line = String::new();
            let mut taken = 0;
            for (at, cell) in row.iter().enumerate().filter(|(at, _)| used[*at]) {
                if taken > 0 {
                    line.push_str("  ");
                    taken += 2;
                }
                let room = if at == last { width.saturating_sub(taken).max(8) } else { usize::MAX };
                let text = cut(&cell.text, room);
                let length = text.chars().count();
                let padding = " ".repeat(widths[at].saturating_sub(length));
                match (at == last, cell.right) {
                    (_, true) => line.push_str(&format!("{padding}{}", styled(cell.style, &text))),
                    (true, false) => line.push_str(&styled(cell.style, &text)),
                    (false, false) => line.push_str(&format!("{}{padding}", styled(cell.style, &text))),
                }
                taken += widths[at].max(length);
            }
            line
        })
        .collect()
}

/// Text that is too long ends in `…`; only its first line stands in a table.
fn cut(text: &str, room: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= room {
        return line.to_owned();
    }
    line.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}
