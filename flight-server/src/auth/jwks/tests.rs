//! Keys of all kinds, and the RSA example of RFC 7515.

use super::*;

/// The example of RFC 7515, appendix A.2: its key and its token.
const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ\
    PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpa\
    SHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5\
    IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA\
    6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJb\
    u3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_n\
    ZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkH\
    WEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_\
    IoypGlUPQGe77Rw";

#[test]
fn rsa_signatures_are_verified() {
    let set = |alg: &str| {
        KeySet::parse(
            format!(r#"{{"keys": [{{"kty": "RSA", "n": "{N}", "e": "AQAB"{alg}}}]}}"#).as_bytes(),
        )
        .unwrap()
    };
    let genuine = Token::parse(TOKEN).unwrap();
    assert_eq!(set("").verify(&genuine), Some(true));
    assert_eq!(set(r#", "alg": "RS256", "use": "sig""#).verify(&genuine), Some(true));
    assert_eq!(set(r#", "alg": "RS512""#).verify(&genuine), None);
    let altered = TOKEN.replacen("eyJpc3Mi", "eyJpc3Nj", 1);
    assert_eq!(set("").verify(&Token::parse(&altered).unwrap()), Some(false));
    // The same signature under another name of an algorithm.
    let other =
        TOKEN.replacen("eyJhbGciOiJSUzI1NiJ9", &URL_SAFE_NO_PAD.encode(r#"{"alg":"PS256"}"#), 1);
    assert_eq!(set("").verify(&Token::parse(&other).unwrap()), Some(false));
}

#[test]
fn keys_of_other_kinds_and_purposes_are_left_out() {
    let set = |keys: &str| KeySet::parse(format!(r#"{{"keys": [{keys}]}}"#).as_bytes());
    let good = r#"{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "a", "key_ops": []}"#;
    let other = [
        r#"{"kty": "oct", "k": "AAAA"}"#,
        r#"{"kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA"}"#,
        r#"{"kty": "RSA", "use": "enc", "n": "AAAA", "e": "AQAB"}"#,
        r#"{"kty": "RSA", "alg": "HS256", "n": "AAAA", "e": "AQAB"}"#,
        r#"{"kty": "RSA", "n": "????", "e": "AQAB"}"#,
        "7",
    ];
    for other in other {
        assert_eq!(set(&format!("{other}, {good}")).unwrap().0.len(), 1, "{other}");
        assert!(set(other).is_err(), "{other}");
    }
    assert!(set("").is_err() && KeySet::parse(b"[]").is_err());
    let many = vec![good; 1000].join(",");
    assert_eq!(set(&many).unwrap().0.len(), MAX_KEYS);
}
