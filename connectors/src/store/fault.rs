//! What went wrong at an origin, in words that hold no secret.
//!
//! Errors of object_store quote URLs, whose query may be a shared access signature, and answers of
//! servers, which may quote what was signed. So none is attached as a source: a message is made
//! from the status, the store's own error code and the deepest cause.

use std::error::Error as StdError;

use flightcache_cache::{Error, ErrorKind};
use object_store::Error as StoreError;

/// Longest cause repeated in a message, in characters.
const CAUSE_CHARS: usize = 200;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Open,
    List,
    Head,
    Read,
}

/// Says what `error` means to a caller who did `action` on `target`. None of `secrets` is in it.
pub(crate) fn translate(
    error: &StoreError,
    action: Action,
    target: &str,
    secrets: &[String],
) -> Error {
    let text = chain(error);
    let status = status(&text);
    let kind = kind(error, action, status, &text);
    let cause = cause(error, &text, status, secrets);
    let message = match kind {
        ErrorKind::Denied => format!("credentials refused by origin for {target}: {cause}"),
        ErrorKind::Stale => format!("{target} changed since it was listed: {cause}"),
        ErrorKind::NotFound => format!("{target} not found at origin: {cause}"),
        ErrorKind::Invalid => format!("options of the store of {target} cannot be used: {cause}"),
        _ => format!("origin of {target} does not answer: {cause}"),
    };
    Error::new(kind, message)
}

fn kind(error: &StoreError, action: Action, status: Option<u16>, text: &str) -> ErrorKind {
    let token =
        ["token request", "federated token", "service account", "CreateSession", "az account"];
    match (error, status) {
        _ if action == Action::Open => ErrorKind::Invalid,
        _ if token.iter().any(|part| text.contains(part)) => ErrorKind::Denied,
        (StoreError::NotFound { .. }, _) | (_, Some(404)) if action == Action::Read => {
            ErrorKind::Stale
        }
        (StoreError::NotFound { .. }, _) | (_, Some(404)) => ErrorKind::NotFound,
        (StoreError::Precondition { .. } | StoreError::NotModified { .. }, _) | (_, Some(416)) => {
            ErrorKind::Stale
        }
        (StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }, _)
        | (_, Some(400 | 401 | 403 | 409)) => ErrorKind::Denied,
        // A range past the end: the object is shorter than when it was listed.
        _ if text.contains("Wanted range starting at") => ErrorKind::Stale,
        (StoreError::InvalidPath { .. }, _) => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}

fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut next = StdError::source(error);
    while let Some(error) = next {
        text.push_str(" | ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The status with the store's error code, or else the deepest cause, cleaned.
fn cause(error: &StoreError, text: &str, status: Option<u16>, secrets: &[String]) -> String {
    if let Some(status) = status {
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        let code = code.map(|(code, _)| code).filter(|code| {
            code.len() <= 64 && code.chars().all(|char| char.is_ascii_alphanumeric())
        });
        return match code {
            Some(code) => format!("HTTP {status} {code}"),
            None if (300..400).contains(&status) && status != 304 => {
                format!("HTTP {status}: redirects are not followed, set the endpoint itself")
            }
            None => format!("HTTP {status}"),
        };
    }
    let mut deepest: &dyn StdError = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    clean(&deepest.to_string(), secrets)
}

/// One line of `text` without queries of URLs and without `secrets`.
pub(crate) fn clean(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(secret.as_str(), "…");
    }
    let mut out = String::new();
    let mut hidden = false;
    for char in text.lines().next().unwrap_or_default().chars().take(CAUSE_CHARS) {
        let ends = char.is_whitespace() || matches!(char, '"' | '\'' | ')' | '>' | '`');
        hidden = (hidden || char == '?') && !ends;
        if !hidden && !char.is_control() {
            out.push(char);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> StoreError {
        StoreError::Generic { store: "S", source: text.to_owned().into() }
    }

    #[test]
    fn queries_and_secrets_are_cut() {
        let text = "GET https://a.blob.core.windows.net/c?sv=1&sig=SECRET%2B failed, key k3y";
        let clean = clean(text, &["k3y".to_owned()]);
        assert_eq!(clean, "GET https://a.blob.core.windows.net/c failed, key …");
    }

    #[test]
    fn a_status_speaks_for_itself() {
        let text = "Error performing GET https://h/c?sig=SECRET in 1s - Server returned non-2xx \
                    status code: 403 Forbidden: <Error><Code>AuthenticationFailed</Code>sig=SECRET";
        let error = translate(&generic(text), Action::List, "az://c", &[]);
        assert_eq!(error.kind(), ErrorKind::Denied);
        let expected = "credentials refused by origin for az://c: HTTP 403 AuthenticationFailed";
        assert_eq!(error.message(), expected);
        let busy = translate(&generic("status code: 503 Busy: x"), Action::Read, "o", &[]);
        assert_eq!(busy.kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn what_vanished_is_stale_to_a_reader_only() {
        let gone = || StoreError::NotFound { path: "p".into(), source: "gone".into() };
        assert_eq!(translate(&gone(), Action::Read, "o", &[]).kind(), ErrorKind::Stale);
        assert_eq!(translate(&gone(), Action::Head, "o", &[]).kind(), ErrorKind::NotFound);
    }
}
