//! How single values are written: sizes, durations, counts, addresses, paths, lists.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use toml::de::{DeArray, DeValue};

/// A value as it was given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    /// From the file, with its TOML type.
    Toml(&'a DeValue<'a>),
    /// From an environment variable or a flag.
    Text(&'a str),
}

impl<'a> Given<'a> {
    /// A string, or the text of a variable or a flag.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(value) => value.as_str(),
        }
    }

    fn integer(self) -> Option<u64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Toml(DeValue::Integer(value)) => {
                u64::from_str_radix(value.as_str(), value.radix()).ok()
            }
            Self::Toml(_) => None,
        }
    }
}

/// How a value of a type is written: reads it, or says what was expected.
pub(super) type Reading<T> = std::result::Result<T, String>;

/// A size such as `512MiB`, `1GB` or `4GiB`; a plain integer counts bytes.
///
/// # Errors
/// Says how a size is written.
pub fn parse_size(text: &str) -> Reading<u64> {
    const UNITS: [(&str, u64); 10] = [
        ("B", 1),
        ("", 1),
        ("kB", 1000),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    with_unit(text, &UNITS).or_else(|| with_unit(text, &[("TB", 1_000_000_000_000)])).ok_or_else(
        || format!("`{}` is no size; write one as 512MiB, 4GiB or 1GB", text.escape_debug()),
    )
}

/// A duration such as `500ms`, `5s`, `10m` or `1h`.
///
/// # Errors
/// Says how a duration is written.
pub fn parse_duration(text: &str) -> Reading<Duration> {
    const UNITS: [(&str, u64); 5] =
        [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    with_unit(text, &UNITS).map(Duration::from_millis).ok_or_else(|| {
        format!("`{}` is no duration; write one as 500ms, 5s, 10m or 1h", text.escape_debug())
    })
}

/// `NUMBER[ ]UNIT`, the number possibly with decimals, multiplied by what the unit stands for.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let product = number.parse::<f64>().ok()? * factor as f64;
    (product.fract() == 0.0 && product < 2_f64.powi(63)).then_some(product as u64)
}

/// An IP address and port; `localhost` stands for 127.0.0.1.
///
/// # Errors
/// Says how an address is written.
pub fn parse_address(text: &str) -> Reading<SocketAddr> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => text.parse(),
    };
    address.map_err(|_| {
        format!("`{}` is no address; write one as 127.0.0.1:50051", text.escape_debug())
    })
}

pub(super) fn size(given: Given<'_>) -> Reading<u64> {
    match (given, given.text()) {
        (_, Some(text)) => parse_size(text),
        (given, None) => {
            given.integer().ok_or_else(|| "not a size; write one as \"512MiB\"".to_owned())
        }
    }
}

pub(super) fn duration(given: Given<'_>) -> Reading<Duration> {
    let text = given.text().ok_or_else(|| "not a duration; write one as \"5s\"".to_owned())?;
    parse_duration(text)
}

pub(super) fn whole(given: Given<'_>) -> Reading<usize> {
    let number = given.integer().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| "not a count; write a whole number".to_owned())
}

/// A whole number of at least one.
pub(super) fn count(given: Given<'_>) -> Reading<usize> {
    match whole(given)? {
        0 => Err("must not be 0; write a whole number of at least 1".to_owned()),
        count => Ok(count),
    }
}

pub(super) fn address(given: Given<'_>) -> Reading<SocketAddr> {
    parse_address(&text(given)?)
}

pub(super) fn text(given: Given<'_>) -> Reading<String> {
    let text = given.text().ok_or_else(|| "not a string; write it in quotes".to_owned())?;
    if text.is_empty() {
        Err("empty; write something or leave it out".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn path(given: Given<'_>) -> Reading<PathBuf> {
    text(given).map(PathBuf::from)
}

/// An array of strings, or text with commas between.
pub(super) fn texts(given: Given<'_>) -> Reading<Vec<String>> {
    match given {
        Given::Text(list) => Ok(list
            .split(',')
            .map(str::trim)
            .filter(|e| !e.is_empty())
            .map(str::to_owned)
            .collect()),
        Given::Toml(value) => value
            .as_array()
            .and_then(strings)
            .ok_or_else(|| "not a list; write an array of strings".to_owned()),
    }
}

fn strings(array: &DeArray<'_>) -> Option<Vec<String>> {
    array.iter().map(|element| element.get_ref().as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        for (text, bytes) in [
            ("512MiB", 512 << 20),
            ("4GiB", 4 << 30),
            ("1GB", 1_000_000_000),
            ("1.5 GiB", 3 << 29),
            ("100B", 100),
            ("4096", 4096),
            ("2TiB", 2 << 40),
            ("1TB", 1_000_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1GiB", "4 gigs", "1.2.3GiB", "99999999999TiB", "0.3B", "é", "inf"]
        {
            assert!(parse_size(text).unwrap_err().contains("512MiB"), "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_written() {
        for (text, millis) in
            [("500ms", 500), ("5s", 5000), ("10m", 600_000), ("1h", 3_600_000), ("1.5s", 1500)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "5 fortnights", "s", "-5s", "0.0001ms"] {
            assert!(parse_duration(text).unwrap_err().contains("10m"), "{text}");
        }
    }

    #[test]
    fn addresses_want_a_port() {
        assert_eq!(parse_address("localhost:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(parse_address("[::1]:9").unwrap().to_string(), "[::1]:9");
        assert!(parse_address("127.0.0.1").unwrap_err().contains("127.0.0.1:50051"));
    }
}
