//! "Did you mean": the known name nearest to an unknown one.

/// The candidate within an edit distance of a third of the name's length, the nearest if several
/// are.
pub(super) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (strsim::levenshtein(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let known = ["listen", "memory", "drain_timeout", "disk", "dir"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("drain-timeout", &known), Some("drain_timeout"));
        assert_eq!(nearest("disc", &known), Some("disk"));
        assert_eq!(nearest("replicas", &known), None);
    }
}
