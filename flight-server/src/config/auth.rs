//! Who may call and read what: `[auth]`, `[[auth.rule]]` and `[server.tls]`.

use std::path::{Path, PathBuf};

use toml::de::DeValue;
use url::Url;

use super::{
    Problems,
    section::{Place, Section},
    value::{self, Given, Reading},
};
use crate::auth::{Pattern, Rule};

/// `[server.tls]`: the node's certificate, and whose clients it talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file of the certificate, its issuers after it.
    pub cert: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// PEM file of the authorities that sign clients' certificates; absent: clients need none.
    pub client_ca: Option<PathBuf>,
}

impl TlsConfig {
    /// None where the table is absent, or a key is missing or wrong, which is noted.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let some_path = |given: Given<'_>| value::path(given).map(Some);
        let (cert, cert_at) = section.located("cert", None, some_path);
        let (key, key_at) = section.located("key", None, some_path);
        let client_ca = section.setting("client_ca", None, some_path);
        if section.is_present() || cert.is_some() || key.is_some() || client_ca.is_some() {
            for (name, place) in [("cert", cert_at), ("key", key_at)] {
                if matches!(place, Place::Absent) {
                    let message = format!("`{name}` is missing in server.tls; name its PEM file");
                    section.problem(&place, message);
                }
            }
        }
        section.finish();
        Some(Self { cert: cert?, key: key?, client_ca })
    }
}

/// `[auth]`: how callers prove who they are, and what each may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// File of bearer tokens and their principals.
    pub token_file: Option<PathBuf>,
    /// The OpenID Connect issuer whose tokens are taken.
    pub oidc: Option<OidcConfig>,
    /// What each principal may do; what no rule allows is refused.
    pub rules: Vec<Rule>,
    /// TOML file of more rules, `[[rule]]` tables, which is read again when it changes.
    pub rule_file: Option<PathBuf>,
}

/// An OpenID Connect issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must hold one of.
    pub audience: Vec<String>,
    /// Where the issuer's keys are.
    pub keys: KeysAt,
    /// The claim that names the principal.
    pub principal_claim: String,
    /// Goes before the claim, so that an issuer cannot name the principals of others.
    pub principal_prefix: String,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// Where `ISSUER/.well-known/openid-configuration` says.
    Discovered,
    /// At this URL.
    Url(Url),
    /// In this file, which is read again when it changes.
    File(PathBuf),
}

impl AuthConfig {
    /// None where there is no `[auth]`; `certificates` says whether clients show certificates.
    pub(super) fn read(mut section: Section<'_>, certificates: bool) -> Option<Self> {
        let some_path = |given: Given<'_>| value::path(given).map(Some);
        let token_file = section.setting("token_file", None, some_path);
        let rule_file = section.setting("rule_file", None, some_path);
        let oidc = read_oidc(&mut section);
        let rules = section.elements("rule", "auth.rule", read_rule);
        let present = section.is_present() || token_file.is_some() || oidc.is_some();
        if present && token_file.is_none() && oidc.is_none() && !certificates {
            let message = "nobody can prove who it is; set `token_file`, `issuer` and `audience`, \
                           or `client_ca` in [server.tls]";
            section.problem(&Place::Absent, message);
        }
        if present && rule_file.is_none() && rules.as_ref().is_some_and(Vec::is_empty) {
            let message = "no [[auth.rule]], so nobody may read anything; add one, such as \
                           principal = \"*\", datasets = [\"*\"]";
            section.problem(&Place::Absent, message);
        }
        section.finish();
        present.then_some(Self { token_file, oidc, rules: rules.unwrap_or_default(), rule_file })
    }

    /// The rules of a file of `[[rule]]` tables, which must hold nothing else.
    ///
    /// # Errors
    /// Every problem with its line.
    pub fn rules(text: &str) -> Result<Vec<Rule>, Problems> {
        let (root, mut reader) = super::toml(Path::new("line"), text, Vec::new())?;
        let rules = super::tables(&mut reader, root.get_ref(), "rule", read_rule);
        Section::root(&mut reader, root.get_ref(), &["rule"]).finish();
        reader.finish(rules.into_iter().map(|(_, rule)| rule).collect())
    }
}

fn read_oidc(section: &mut Section<'_>) -> Option<OidcConfig> {
    let (issuer, at) = section.located("issuer", None, |given| issuer(given).map(Some));
    let (audience, audience_at) = section.located("audience", Vec::new(), audiences);
    let (url, url_at) = section.located("jwks_url", None, |given| web_url(given).map(Some));
    let (file, file_at) = section.located("jwks_file", None, |given| value::path(given).map(Some));
    let (claim, claim_at) = section.located("principal_claim", "sub".to_owned(), value::text);
    let (prefix, prefix_at) = section.located("principal_prefix", String::new(), value::text);
    if matches!(at, Place::Absent) {
        let depend = [
            ("audience", audience_at),
            ("jwks_url", url_at),
            ("jwks_file", file_at),
            ("principal_claim", claim_at),
            ("principal_prefix", prefix_at),
        ];
        for (key, place) in depend {
            if !matches!(place, Place::Absent) {
                section.problem(&place, format!("`{key}` without `issuer`; set `issuer`"));
            }
        }
        return None;
    }
    if matches!(audience_at, Place::Absent) {
        let message = "`issuer` without `audience`; set what the `aud` of its tokens must be";
        section.problem(&at, message);
    }
    let keys = match (url, file) {
        (Some(_), Some(_)) => {
            section.problem(&file_at, "`jwks_file` beside `jwks_url`; keep one of them");
            return None;
        }
        (Some(url), None) => KeysAt::Url(url),
        (None, Some(file)) => KeysAt::File(file),
        (None, None) => KeysAt::Discovered,
    };
    let (principal_claim, principal_prefix) = (claim, prefix);
    Some(OidcConfig { issuer: issuer?, audience, keys, principal_claim, principal_prefix })
}

/// None where a key is missing or wrong, which is noted.
fn read_rule(mut section: Section<'_>) -> Option<Rule> {
    let principal = section.required("principal", |given| Pattern::parse(&value::text(given)?));
    let datasets = section.required("datasets", |given| {
        let patterns = value::texts(given)?;
        if patterns.is_empty() {
            return Err("empty; name a dataset, or write [\"*\"]".to_owned());
        }
        patterns.iter().map(|text| Pattern::parse(text)).collect()
    });
    let actions = section.setting("actions", false, flag);
    section.finish();
    Some(Rule { principal: principal?, datasets: datasets?, actions })
}

fn flag(given: Given<'_>) -> Reading<bool> {
    match given {
        Given::Toml(DeValue::Boolean(flag)) => Ok(*flag),
        _ => Err("not a flag; write true or false".to_owned()),
    }
}

/// One string, or a list of them; never none.
fn audiences(given: Given<'_>) -> Reading<Vec<String>> {
    let audiences = match given {
        Given::Toml(value) if value.as_str().is_some() => vec![value::text(given)?],
        _ => value::texts(given)?,
    };
    if audiences.is_empty() { Err("empty; name one".to_owned()) } else { Ok(audiences) }
}

/// As it is written: tokens must repeat it letter by letter.
fn issuer(given: Given<'_>) -> Reading<String> {
    let url = web_url(given)?;
    if url.query().is_some() {
        return Err("a query in an issuer's URL; remove it".to_owned());
    }
    value::text(given)
}

fn web_url(given: Given<'_>) -> Reading<Url> {
    let wrong = || "not a URL; write one as https://HOST/PATH".to_owned();
    let url = Url::parse(&value::text(given)?).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("credentials or a fragment in a URL; remove them".to_owned());
    }
    Ok(url)
}
