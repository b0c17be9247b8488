//! Many wanted byte ranges, few requests.

use std::ops::Range;

/// The reads that bring all of `wanted`, in order and disjoint.
///
/// Ranges are [merged](merge); one that is still longer than `max` bytes is cut into reads of `max`.
pub(crate) fn coalesce(wanted: &[Range<u64>], gap: u64, max: u64) -> Vec<Range<u64>> {
    let max = max.max(1);
    let cut = |range: Range<u64>| {
        let parts = (range.end - range.start).div_ceil(max);
        (0..parts).map(move |part| {
            let start = range.start + part * max;
            start..range.end.min(start + max)
        })
    };
    merge(wanted, gap, max).into_iter().flat_map(cut).collect()
}

/// `wanted` with ranges at most `gap` bytes apart made one, as long as that is at most `max` bytes;
/// in order and disjoint. Empty ranges are left out.
pub(crate) fn merge(wanted: &[Range<u64>], gap: u64, max: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = wanted.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            // Ranges that overlap are one whatever their length, so that no byte is read twice.
            Some(last)
                if range.start < last.end
                    || (range.start - last.end <= gap && range.end - last.start <= max) =>
            {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gap_and_size_decide() {
        let cases = [
            (vec![0..10, 12..20], 2, 100, vec![(0, 20)]),
            (vec![0..10, 13..20], 2, 100, vec![(0, 10), (13, 20)]),
            (vec![12..20, 0..10], 2, 15, vec![(0, 10), (12, 20)]),
            (vec![0..25, 25..25], 0, 10, vec![(0, 10), (10, 20), (20, 25)]),
            (vec![0..10, 5..12, 12..12], 0, 11, vec![(0, 11), (11, 12)]),
            (vec![], 1, 1, vec![]),
        ];
        for (wanted, gap, max, expected) in cases {
            let reads = coalesce(&wanted, gap, max);
            let reads: Vec<_> = reads.into_iter().map(|read| (read.start, read.end)).collect();
            assert_eq!(reads, expected, "{wanted:?} {gap} {max}");
        }
    }
}
