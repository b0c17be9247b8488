//! JSON Web Tokens (RFC 7519) in their compact form, signed with a private key.
//!
//! The algorithms there are stand in one enum: `none` and the HMAC family cannot be said, and each
//! works with one kind of key only, so a public key is never taken for a shared secret.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far clocks may be apart, in seconds.
const LEEWAY_S: f64 = 60.0;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What a token says of how it is signed. Keys and places of keys in it are not looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: Algorithm,
    #[serde(default)]
    pub(super) kid: Option<String>,
    /// Extensions that must be understood; none is.
    #[serde(default)]
    crit: Option<Value>,
}

/// A token whose signature was not looked at yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) header: Header,
    /// What is signed: header and claims as they were sent.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
}

/// Why a token is refused; for the audit line.
pub(super) type Refused = &'static str;

impl<'a> Token<'a> {
    /// Takes a token apart; believes nothing.
    pub(super) fn parse(text: &'a str) -> Result<Self, Refused> {
        const MALFORMED: Refused = "unknown token";
        let (signed, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, _) = signed.split_once('.').ok_or(MALFORMED)?;
        let signature = decode(signature).ok_or(MALFORMED)?;
        let header = decode(header).ok_or(MALFORMED)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| "no such algorithm")?;
        if header.crit.is_some() {
            return Err("critical extension");
        }
        Ok(Self { header, signed, signature })
    }

    /// The claims, for whoever has verified the signature.
    pub(super) fn claims(&self) -> Result<Claims, Refused> {
        let claims = self.signed.split_once('.').and_then(|(_, claims)| decode(claims));
        serde_json::from_slice(&claims.unwrap_or_default()).map_err(|_| "malformed claims")
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// What a token claims.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// Refuses claims of another issuer, for others, or of another time than `now_s`, in seconds
    /// since the Unix epoch.
    pub(super) fn check(
        &self,
        issuer: &str,
        audience: &[String],
        now_s: u64,
    ) -> Result<(), Refused> {
        let now_s = now_s as f64;
        let meant = match &self.aud {
            Audience::One(one) => audience.contains(one),
            Audience::Many(many) => many.iter().any(|one| audience.contains(one)),
        };
        if self.iss != issuer {
            Err("another issuer")
        } else if !meant {
            Err("another audience")
        } else if self.ends_s() <= now_s {
            Err("expired")
        } else if self.nbf.into_iter().chain(self.iat).any(|begins| begins - LEEWAY_S > now_s) {
            Err("not valid yet")
        } else {
            Ok(())
        }
    }

    /// When the token ends, in seconds since the Unix epoch, by the clock that is furthest behind.
    pub(super) fn ends_s(&self) -> f64 {
        self.exp + LEEWAY_S
    }

    /// The text of a claim.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.rest.get(claim)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Result<Claims, Refused> {
        let signed = format!("e30.{}", URL_SAFE_NO_PAD.encode(json));
        let header = Header { alg: Algorithm::ES256, kid: None, crit: None };
        Token { header, signed: &signed, signature: Vec::new() }.claims()
    }

    fn checked(json: &str) -> Result<(), Refused> {
        let audience = ["flightcache".to_owned(), "fc".to_owned()];
        claims(json)?.check("https://issuer", &audience, 10_000)
    }

    #[test]
    fn issuer_audience_and_time_must_fit() {
        let ok = r#"{"iss": "https://issuer", "aud": ["x", "fc"], "exp": 10001, "nbf": 9.9e3}"#;
        assert_eq!(checked(ok), Ok(()));
        for (from, to, outcome) in [
            (r#"["x", "fc"]"#, r#""flightcache""#, Ok(())),
            (r#"["x", "fc"]"#, r#"["x"]"#, Err("another audience")),
            (r#"["x", "fc"]"#, "[]", Err("another audience")),
            (r#"["x", "fc"]"#, "7", Err("malformed claims")),
            ("https://issuer", "https://issuer/", Err("another issuer")),
            ("10001", "9941", Ok(())),
            ("10001", "9940", Err("expired")),
            ("10001", "\"10001\"", Err("malformed claims")),
            ("10001", "null", Err("malformed claims")),
            (", \"exp\": 10001", "", Err("malformed claims")),
            ("\"aud\": [\"x\", \"fc\"],", "", Err("malformed claims")),
            ("9.9e3", "10060", Ok(())),
            ("9.9e3", "10061", Err("not valid yet")),
            ("9.9e3", "\"soon\"", Err("malformed claims")),
            ("\"nbf\": 9.9e3", "\"iat\": 10061", Err("not valid yet")),
        ] {
            assert_eq!(checked(&ok.replace(from, to)), outcome, "{from} {to}");
        }
        assert_eq!(claims(r#"{"iss": "", "aud": "", "exp": 1, "n": 7}"#).unwrap().text("n"), None);
    }

    #[test]
    fn algorithms_without_a_private_key_cannot_be_said() {
        let parse = |header: &str| {
            let text = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header));
            Token::parse(&text).map(|token| token.header.alg)
        };
        assert_eq!(parse(r#"{"alg": "ES256", "typ": "JWT", "jku": "x"}"#), Ok(Algorithm::ES256));
        for alg in ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "ES512"] {
            assert_eq!(parse(&format!(r#"{{"alg": "{alg}"}}"#)), Err("no such algorithm"), "{alg}");
        }
        assert!(parse("{}").is_err() && parse(r#"{"alg": ["RS256"]}"#).is_err());
        assert_eq!(parse(r#"{"alg": "RS256", "crit": ["b64"]}"#), Err("critical extension"));
        for text in ["", ".", "..", "a.b", "e30.e30.", "!.e30.AA", "e30.e30.A=="] {
            assert!(Token::parse(text).is_err(), "{text}");
        }
    }
}
