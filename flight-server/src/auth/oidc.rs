//! Principals by OpenID Connect: tokens that an issuer signed for us.

use flightcache_cache::Result;

use super::{Identity, Proof, Refusal, jwt::Token, keys::Keys, now_s, principal};
use crate::config::OidcConfig;

/// An issuer whose tokens are taken.
#[derive(Debug)]
pub(super) struct Oidc {
    config: OidcConfig,
    keys: Keys,
}

impl Oidc {
    /// Follows the keys of the issuer from now on.
    ///
    /// # Errors
    /// `Invalid` naming a file of keys that cannot be used.
    pub(super) fn start(config: &OidcConfig) -> Result<Self> {
        Ok(Self { config: config.clone(), keys: Keys::start(config)? })
    }

    /// The principal that `token` names, if the issuer signed it for us and it is in force.
    pub(super) async fn identify(&self, token: &str) -> std::result::Result<Identity, Refusal> {
        self.identify_at(token, now_s() as u64).await
    }

    async fn identify_at(&self, token: &str, now_s: u64) -> std::result::Result<Identity, Refusal> {
        let token = Token::parse(token).map_err(Refusal::Credentials)?;
        self.keys.verify(&token).await?;
        let claims = token.claims().map_err(Refusal::Credentials)?;
        let OidcConfig { issuer, audience, principal_claim, principal_prefix, .. } = &self.config;
        claims.check(issuer, audience, now_s).map_err(Refusal::Credentials)?;
        let claimed = claims.text(principal_claim).filter(|claimed| !claimed.is_empty());
        let named = claimed.and_then(|claimed| principal(&format!("{principal_prefix}{claimed}")));
        let principal = named.ok_or(Refusal::Credentials("no principal in the token"))?;
        Ok(Identity { principal, proof: Proof::Until(claims.ends_s()) })
    }
}

#[cfg(test)]
mod tests;
