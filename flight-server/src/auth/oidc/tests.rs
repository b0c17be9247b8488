//! Tokens of a real issuer's kind, good and forged in the ways that JWT libraries have fallen for.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    },
};
use serde_json::{Value, json};

use super::*;
use crate::config::KeysAt;

const NOW_S: u64 = 1_800_000_000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs with one key of each elliptic kind; RSA is signed by PyJWT in the end-to-end tests, and
/// its verification is checked against a fixed vector below.
struct Issuer {
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    random: SystemRandom,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm| {
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
        };
        let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            p256: ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            ed25519: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(),
            random,
        }
    }

    fn keys(&self) -> Value {
        let point = |key: &EcdsaKeyPair, crv: &str, kid: &str| {
            let point = &key.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({"kty": "EC", "crv": crv, "kid": kid, "x": encode(x), "y": encode(y)})
        };
        let ed25519 = encode(self.ed25519.public_key());
        json!({"keys": [
            point(&self.p256, "P-256", "a"),
            point(&self.p384, "P-384", "b"),
            {"kty": "OKP", "crv": "Ed25519", "kid": "c", "x": ed25519, "alg": "EdDSA"},
        ]})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let message = signed.as_bytes();
        let ecdsa = |key: &EcdsaKeyPair| key.sign(&self.random, message).unwrap().as_ref().to_vec();
        let signature = match header["alg"].as_str().unwrap() {
            "ES256" => ecdsa(&self.p256),
            "ES384" => ecdsa(&self.p384),
            "EdDSA" => self.ed25519.sign(message).as_ref().to_vec(),
            // A server that takes the public key for the shared secret would believe this.
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.p256.public_key().as_ref());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{signed}.{}", encode(signature))
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer", "aud": "flightcache", "sub": "spark-1", "exp": NOW_S + 600,
        "groups": ["x"], "preferred_username": "alice",
    })
}

fn oidc(folder: &tempfile::TempDir, keys: &Value, claim: &str, prefix: &str) -> Oidc {
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, keys.to_string()).unwrap();
    Oidc::start(&OidcConfig {
        issuer: "https://issuer".to_owned(),
        audience: vec!["flightcache".to_owned()],
        keys: KeysAt::File(path),
        principal_claim: claim.to_owned(),
        principal_prefix: prefix.to_owned(),
    })
    .unwrap()
}

async fn identified(
    oidc: &Oidc,
    token: &str,
    now_s: u64,
) -> std::result::Result<Arc<str>, Refusal> {
    let found = oidc.identify_at(token, now_s).await?;
    assert!(matches!(found.proof, Proof::Until(end_s) if end_s > now_s as f64), "{found:?}");
    Ok(found.principal)
}

#[tokio::test]
async fn every_algorithm_is_verified_with_its_own_kind_of_key_alone() {
    let (folder, issuer) = (tempfile::tempdir().unwrap(), Issuer::new());
    let oidc = oidc(&folder, &issuer.keys(), "sub", "");
    for (alg, kid) in [("ES256", "a"), ("ES384", "b"), ("EdDSA", "c")] {
        let header = json!({"alg": alg, "kid": kid, "typ": "JWT"});
        let good = issuer.sign(&header, &claims());
        assert_eq!(identified(&oidc, &good, NOW_S).await.as_deref(), Ok("spark-1"), "{alg}");
        let bare = issuer.sign(&json!({"alg": alg}), &claims());
        assert_eq!(identified(&oidc, &bare, NOW_S).await.as_deref(), Ok("spark-1"), "{alg}");
        for other in ["a", "b", "c", "d", ""].iter().filter(|other| **other != kid) {
            let crossed = issuer.sign(&json!({"alg": alg, "kid": other}), &claims());
            assert!(identified(&oidc, &crossed, NOW_S).await.is_err(), "{alg} {other}");
        }
    }
}

#[tokio::test]
async fn forgeries_are_refused() {
    let (folder, issuer) = (tempfile::tempdir().unwrap(), Issuer::new());
    let oidc = oidc(&folder, &issuer.keys(), "sub", "");
    let good = issuer.sign(&json!({"alg": "ES256", "kid": "a"}), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, body, signature] = parts.as_slice() else { panic!("{good}") };
    let admin = encode(claims().to_string().replace("spark-1", "admin-1"));
    let stranger = Issuer::new().sign(&json!({"alg": "ES256", "kid": "a"}), &claims());
    let zeros = encode([0; 64]);
    let mut forged = vec![
        format!("{header}.{admin}.{signature}"),
        format!("{header}.{body}."),
        format!("{header}.{body}.{zeros}"),
        format!("{header}.{body}.{signature}AA"),
        format!("{header}.{body}"),
        format!(".{body}.{signature}"),
        format!("{good}.{signature}"),
        stranger,
    ];
    for alg in ["none", "NONE", "HS256"] {
        forged.push(issuer.sign(&json!({"alg": alg, "kid": "a"}), &claims()));
        let header = encode(json!({"alg": alg, "kid": "a"}).to_string());
        forged.push(format!("{header}.{body}.{signature}"));
    }
    for token in forged {
        let refused = identified(&oidc, &token, NOW_S).await;
        assert!(matches!(refused, Err(Refusal::Credentials(_))), "{token}: {refused:?}");
    }
    assert_eq!(identified(&oidc, &good, NOW_S).await.as_deref(), Ok("spark-1"));
    assert!(identified(&oidc, &good, NOW_S + 700).await.is_err());
}

#[tokio::test]
async fn the_claim_that_names_the_principal_must_be_a_name() {
    let (folder, issuer) = (tempfile::tempdir().unwrap(), Issuer::new());
    let token = issuer.sign(&json!({"alg": "EdDSA", "kid": "c"}), &claims());
    for (claim, prefix, named) in [
        ("sub", "", Some("spark-1")),
        ("preferred_username", "oidc:", Some("oidc:alice")),
        ("groups", "", None),
        ("absent", "oidc:", None),
    ] {
        let oidc = oidc(&folder, &issuer.keys(), claim, prefix);
        let found = identified(&oidc, &token, NOW_S).await.ok();
        assert_eq!(found.as_deref(), named, "{claim}");
    }
    let oidc = oidc(&folder, &issuer.keys(), "sub", "oidc:");
    for sub in ["", "a\nb", &"x".repeat(300)] {
        let mut claims = claims();
        claims["sub"] = json!(sub);
        let token = issuer.sign(&json!({"alg": "EdDSA", "kid": "c"}), &claims);
        assert!(identified(&oidc, &token, NOW_S).await.is_err(), "{sub:?}");
    }
}
