//! Near names for a name that does not exist.

const NEAR_NAMES: usize = 3;
const NEAR_ENOUGH: f64 = 0.6;
/// Of the longer name's letters, the share that must be right: a path is near to nothing, however
/// many of its letters a short name has.
const SHARED_ENOUGH: f64 = 0.4;

/// `": did you mean \`a\`, \`b\`?"` for the names nearest to `name`, or nothing if none is near.
pub fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .filter(|known| {
            strsim::normalized_levenshtein(&wanted, &known.to_lowercase()) >= SHARED_ENOUGH
        })
        .map(|known| (strsim::jaro_winkler(&wanted, &known.to_lowercase()), known))
        .filter(|(score, _)| *score >= NEAR_ENOUGH)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    let names: Vec<_> =
        scored.iter().take(NEAR_NAMES).map(|(_, known)| format!("`{known}`")).collect();
    if names.is_empty() { String::new() } else { format!(": did you mean {}?", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn the_nearest_come_first_and_the_far_not_at_all() {
        let known = ["l_shipdate", "l_shipmode", "l_orderkey", "zzz"];
        let hint = near("l_shipdat", known.into_iter());
        assert!(hint.starts_with(": did you mean `l_shipdate`"), "{hint}");
        assert!(!hint.contains("zzz"));
        assert_eq!(near("qqq", known.into_iter()), "");
        assert_eq!(near("/etc/passwd", ["trips", "parts"].into_iter()), "");
    }
}
