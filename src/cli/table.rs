//! Tables: boxes for a terminal, aligned columns for a pipe.
//!
//! Invariant: a piped table has one line per row and no wrapping, so that `awk` and `grep` can read it.

use comfy_table::{ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};

/// Box drawing with full lines between columns and none between rows.
const BOX: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('┌', '─', '┬', '┐'))
    .header_lines(ContentLineStyle::new('│', '│', '│'))
    .header_separator(LineStyle::new('├', '─', '┼', '┤'))
    .content_lines(ContentLineStyle::new('│', '│', '│'))
    .bottom_border(LineStyle::new('└', '─', '┴', '┘'));

/// How a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Columns of the terminal; cells wrap.
    Boxed {
        width: u16,
    },
    Plain,
}

/// The table without a final line break.
pub fn render(header: &[&str], rows: &[Vec<String>], frame: Frame) -> String {
    match frame {
        Frame::Boxed { width } => boxed(header, rows, width),
        Frame::Plain => plain(header, rows),
    }
}

fn boxed(header: &[&str], rows: &[Vec<String>], width: u16) -> String {
    let mut table = Table::new();
    table.load_style(BOX).set_content_arrangement(ContentArrangement::Dynamic).set_width(width).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

fn plain(header: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(column, title)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([title.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head = line(&mut header.iter().copied());
    let body = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    std::iter::once(head).chain(body).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        vec![vec!["a".into(), "first".into()], vec!["bcd".into(), "second".into()]]
    }

    #[test]
    fn a_pipe_gets_aligned_columns_without_boxes() {
        assert_eq!(render(&["Id", "Text"], &rows(), Frame::Plain), "Id   Text\na    first\nbcd  second");
    }

    #[test]
    fn a_terminal_gets_a_box_no_wider_than_itself() {
        let drawn = render(&["Id", "Text"], &rows(), Frame::Boxed { width: 14 });
        assert!(drawn.starts_with('┌') && drawn.ends_with('┘'), "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 14), "{drawn}");
        assert_eq!(drawn.lines().nth(2).map(|line| line.chars().next()), Some(Some('├')));
    }

    #[test]
    fn an_empty_table_still_shows_its_columns() {
        assert_eq!(render(&["Id", "Text"], &[], Frame::Plain), "Id  Text");
    }
}
