//! Figures as people read them.

/// Bytes with a binary unit, such as `1.5 GiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{count} B") } else { format!("{scaled:.1} {unit}") }
}

/// A share in percent, `-` of nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

/// A count that Flight gives as -1 where it is not known.
pub(super) fn known(count: i64, write: impl FnOnce(u64) -> String) -> String {
    u64::try_from(count).map_or_else(|_| "?".to_owned(), write)
}

/// Rows of cells with their columns lined up: the first to the left, all others to the right.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width_of(column);
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(0, 0), "-");
        assert_eq!(known(-1, bytes), "?");
        let rows =
            [vec!["name".to_owned(), "rows".to_owned()], vec!["a".to_owned(), "1".to_owned()]];
        assert_eq!(aligned(&rows), "name  rows\na        1\n");
    }
}
