//! Public keys of an issuer: a JSON Web Key Set (RFC 7517), and signatures verified with them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flightcache_cache::{Error, Result};
use ring::signature as ring;
use serde::Deserialize;
use serde_json::Value;

use super::jwt::{Algorithm, Token};

/// Keys of a set that are looked at.
const MAX_KEYS: usize = 64;

/// The keys of an issuer with which signatures can be verified.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    alg: Option<Algorithm>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// One key as it is written; what it does not name is not looked at.
#[derive(Deserialize)]
struct Written {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a key set; keys of other kinds and for other purposes are left out.
    ///
    /// # Errors
    /// `Invalid` if it is none, or none of its keys is of use.
    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        let set: Set = serde_json::from_slice(json)
            .map_err(|error| Error::invalid("is no JSON Web Key Set").with_source(error))?;
        let written = set.keys.into_iter().take(MAX_KEYS);
        let keys: Vec<Key> = written.filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(Error::invalid("holds no RSA, P-256, P-384 or Ed25519 key for signatures"));
        }
        Ok(Self(keys))
    }

    /// Whether a key here signed `token`; none if no key fits its `kid` and algorithm. A token
    /// without a `kid` needs no other key to fit.
    pub(super) fn verify(&self, token: &Token<'_>) -> Option<bool> {
        let header = &token.header;
        let mut fitting = self.0.iter().filter(|key| {
            let named = header.kid.is_none() || key.kid == header.kid;
            named && key.alg.is_none_or(|alg| alg == header.alg) && key.material.fits(header.alg)
        });
        let key = fitting.next()?;
        let ambiguous = header.kid.is_none() && fitting.next().is_some();
        Some(!ambiguous && key.material.verify(token))
    }
}

impl Key {
    fn read(written: Value) -> Option<Self> {
        let written: Written = serde_json::from_value(written).ok()?;
        if written.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let point = || Some([&[4], &*number(&written.x)?, &*number(&written.y)?].concat());
        let material = match (written.kty.as_str(), written.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: whole(&number(&written.n)?), e: number(&written.e)? },
            ("EC", Some("P-256")) => Material::P256(point()?),
            ("EC", Some("P-384")) => Material::P384(point()?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(number(&written.x)?),
            _ => return None,
        };
        let alg = match written.alg {
            None => None,
            // A key for an algorithm that there is not is of no use.
            Some(alg) => Some(serde_json::from_value(Value::String(alg)).ok()?),
        };
        Some(Self { kid: written.kid, alg, material })
    }
}

/// A big-endian number without the zeros that some writers put before it.
fn whole(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

impl Material {
    fn fits(&self, alg: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDsa, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa { .. } => matches!(alg, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Self::P256(_) => alg == ES256,
            Self::P384(_) => alg == ES384,
            Self::Ed25519(_) => alg == EdDsa,
        }
    }

    /// RSA keys under 2048 bits verify nothing.
    fn verify(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        let simple = |algorithm: &'static dyn ring::VerificationAlgorithm, key: &[u8]| {
            ring::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match (self, token.header.alg) {
            (Self::Rsa { n, e }, alg) => rsa(alg).is_some_and(|parameters| {
                ring::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            (Self::P256(key), Algorithm::ES256) => simple(&ring::ECDSA_P256_SHA256_FIXED, key),
            (Self::P384(key), Algorithm::ES384) => simple(&ring::ECDSA_P384_SHA384_FIXED, key),
            (Self::Ed25519(key), Algorithm::EdDsa) => simple(&ring::ED25519, key),
            _ => false,
        }
    }
}

fn rsa(alg: Algorithm) -> Option<&'static ring::RsaParameters> {
    match alg {
        Algorithm::RS256 => Some(&ring::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&ring::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&ring::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&ring::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&ring::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&ring::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDsa => None,
    }
}

#[cfg(test)]
mod tests;
