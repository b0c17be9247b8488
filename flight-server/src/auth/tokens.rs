//! Bearer tokens from a file: one a line, the principal before it.
//!
//! ```text
//!  # PRINCIPAL  TOKEN | blake3:HEX | sha256:HEX
//!  spark-prod   sha256:8d96...
//! ```
//!
//! Digests alone are kept and looked up, so that neither a dump of memory nor the time of a lookup
//! tells a token.

use std::{collections::HashMap, fmt, sync::Arc};

use flightcache_cache::{Error, Result};

use super::principal;

/// Shortest token that is taken, in bytes: shorter ones can be guessed.
const MIN_TOKEN_BYTES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Digest {
    Blake3([u8; 32]),
    Sha256([u8; 32]),
}

impl Digest {
    fn sha256(token: &str) -> Option<Self> {
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        digest.as_ref().try_into().ok().map(Self::Sha256)
    }
}

/// The tokens of a file.
pub(super) struct Tokens(HashMap<Digest, Arc<str>>);

impl Tokens {
    /// Reads a file of tokens.
    ///
    /// # Errors
    /// `Invalid` naming the line and what is wrong there, never what stands in it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid("is no text"))?;
        let mut tokens = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| Error::invalid(format!("line {}: {what}", index + 1));
            let (name, token) = pair(line).ok_or_else(|| wrong("write PRINCIPAL TOKEN"))?;
            let name = principal(name).ok_or_else(|| wrong("the principal's name is too long"))?;
            let digest = stored(token).map_err(wrong)?;
            if tokens.insert(digest, name).is_some() {
                return Err(wrong("this token is there twice"));
            }
        }
        Ok(Self(tokens))
    }

    /// The principal whose token this is, and the digest that says so.
    pub(super) fn find(&self, token: &str) -> Option<(Arc<str>, Digest)> {
        let named = |digest| Some((self.named(digest)?, digest));
        let blake3 = Digest::Blake3(*blake3::hash(token.as_bytes()).as_bytes());
        named(blake3).or_else(|| named(Digest::sha256(token)?))
    }

    /// The principal of the token with this digest.
    pub(super) fn named(&self, digest: Digest) -> Option<Arc<str>> {
        self.0.get(&digest).cloned()
    }
}

fn pair(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    let pair = (words.next()?, words.next()?);
    words.next().is_none().then_some(pair)
}

fn stored(token: &str) -> std::result::Result<Digest, &'static str> {
    if let Some(hex) = token.strip_prefix("blake3:") {
        return digest(hex).map(Digest::Blake3);
    }
    if let Some(hex) = token.strip_prefix("sha256:") {
        return digest(hex).map(Digest::Sha256);
    }
    if token.len() < MIN_TOKEN_BYTES {
        return Err("the token is shorter than 16 characters");
    }
    Ok(Digest::Blake3(*blake3::hash(token.as_bytes()).as_bytes()))
}

fn digest(hex: &str) -> std::result::Result<[u8; 32], &'static str> {
    blake3::Hash::from_hex(hex)
        .map(|hash| *hash.as_bytes())
        .map_err(|_| "a digest is 64 hexadecimal digits")
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    fn tokens(text: &str) -> Result<Tokens> {
        Tokens::parse(text.as_bytes())
    }

    fn named(tokens: &Tokens, token: &str) -> Option<Arc<str>> {
        tokens.find(token).map(|(principal, _)| principal)
    }

    #[test]
    fn a_token_names_its_principal_however_it_is_stored() {
        let blake3 = format!("blake3:{}", blake3::hash(TOKEN.as_bytes()));
        let Some(Digest::Sha256(sha256)) = Digest::sha256(TOKEN) else { panic!("no digest") };
        let sha256 = format!("sha256:{}", blake3::Hash::from(sha256));
        for stored in [TOKEN, &blake3, &sha256] {
            let text = format!("# who  token\n\n  other 0123456789abcdef\nspark-1\t{stored}\r\n");
            let tokens = tokens(&text).unwrap();
            assert_eq!(named(&tokens, TOKEN).as_deref(), Some("spark-1"), "{stored}");
            assert_eq!(named(&tokens, "0123456789abcdef").as_deref(), Some("other"));
            for wrong in ["", "correct-horse-batter", "spark-1", "Correct-horse-battery"] {
                assert_eq!(named(&tokens, wrong), None, "{wrong}");
            }
            // Whoever reads the file holds no token.
            if stored != TOKEN {
                let hex = stored.split_once(':').map(|(_, hex)| hex).unwrap_or_default();
                assert_eq!((named(&tokens, stored), named(&tokens, hex)), (None, None));
            }
            assert!(!format!("{tokens:?}").contains(stored), "{tokens:?}");
        }
        // As `printf %s abc | sha256sum` prints it.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(tokens(&format!("a sha256:{abc}")).unwrap().find("abc").is_some());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line_and_never_repeated() {
        for (text, line, what) in [
            ("a s3cr3t-s3cr3t-s3cr3t\nb", 2, "PRINCIPAL TOKEN"),
            ("a s3cr3t s3cr3t-s3cr3t-s3cr3t", 1, "PRINCIPAL TOKEN"),
            ("\n\na s3cr3t", 3, "shorter than 16"),
            ("a blake3:s3cr3t", 1, "64 hexadecimal"),
            ("a sha256:s3cr3t", 1, "64 hexadecimal"),
            ("a s3cr3t-s3cr3t-s3cr3t\nb s3cr3t-s3cr3t-s3cr3t", 2, "twice"),
        ] {
            let error = tokens(text).unwrap_err();
            assert!(error.message().starts_with(&format!("line {line}: ")), "{error}");
            assert!(error.message().contains(what), "{error}");
            assert!(!error.message().contains("s3cr3t"), "{error}");
        }
        assert!(Tokens::parse(b"a \xff\xff").is_err());
        assert_eq!(named(&tokens("").unwrap(), ""), None);
    }
}
