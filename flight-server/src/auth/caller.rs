//! The caller of one request: its principal, what it asks for, and what the rules say to that.

use std::sync::Arc;

use flightcache_cache::{Error, ErrorKind, Result};
use http::Extensions;

use super::{Auth, Identity, audit, now_s};

/// Who calls, and what for. `Clone` is shallow.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Absent where the node has no `[auth]`, and everybody may do everything.
    granted: Option<Granted>,
    call: &'static str,
    acts: bool,
}

#[derive(Clone, Debug)]
struct Granted {
    identity: Identity,
    auth: Arc<Auth>,
}

impl Granted {
    fn principal(&self) -> &str {
        &self.identity.principal
    }
}

impl Caller {
    /// The caller of a node without `[auth]`.
    pub fn anybody(call: &'static str) -> Self {
        Self { granted: None, call, acts: false }
    }

    /// A caller that proved to `auth` who it is.
    pub(super) fn known(call: &'static str, identity: Identity, auth: Arc<Auth>) -> Self {
        Self { granted: Some(Granted { identity, auth }), call, acts: false }
    }

    /// The caller that [`AuthLayer`](super::AuthLayer) found.
    ///
    /// # Errors
    /// `Internal` where no layer did: a request that nobody looked at is not served.
    pub fn of(extensions: &Extensions) -> Result<Self> {
        let caller = extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::internal("request did not pass AuthLayer"))
    }

    /// The same caller, which asks for `action`: to be allowed it must be permitted to act.
    pub fn acting(&self, action: &'static str) -> Self {
        Self { call: action, acts: true, ..self.clone() }
    }

    /// Its name; none where the node has no `[auth]`.
    pub fn principal(&self) -> Option<&str> {
        self.granted.as_ref().map(Granted::principal)
    }

    /// Whether the rules let it read `dataset`, a name or an entry of `allow_urls`.
    pub fn may_read(&self, dataset: &str) -> bool {
        let granted = self.granted.as_ref();
        granted.is_none_or(|granted| granted.auth.rules.may_read(granted.principal(), dataset))
    }

    /// Refuses a caller that asks for an action, may read `dataset` and may not act on it.
    fn must_act(&self, dataset: &str) -> Result<()> {
        match &self.granted {
            Some(granted)
                if self.acts && !granted.auth.rules.may_act(granted.principal(), dataset) =>
            {
                let call = self.call;
                Err(Error::denied(format!("{call}: you may read dataset `{dataset}`, no more")))
            }
            _ => Ok(()),
        }
    }

    /// Decides on a dataset: `found` if it exists and may be read, else the error that says it does
    /// not exist. Writes the audit line.
    ///
    /// # Errors
    /// `absent`'s, or `Denied` for an action on what may be read alone.
    pub fn decide<T>(
        &self,
        dataset: &str,
        found: Option<T>,
        absent: impl FnOnce() -> Error,
    ) -> Result<T> {
        let decision = match found {
            None => Err(absent()),
            Some(found) => self.must_act(dataset).map(|()| found),
        };
        let reason = match &decision {
            Ok(_) => "a rule allows it",
            Err(error) if error.kind() == ErrorKind::Denied => "no rule allows actions",
            Err(_) => "no such dataset, or no rule allows it",
        };
        self.audit(dataset, decision.is_ok(), reason);
        decision
    }

    /// Whether the rules let it see the figures of the node.
    pub fn may_watch(&self) -> bool {
        let granted = self.granted.as_ref();
        granted.is_none_or(|granted| granted.auth.rules.may_watch(granted.principal()))
    }

    /// Decides on the figures of the node. Writes the audit line.
    ///
    /// # Errors
    /// `Denied` if no rule lets the caller act on anything.
    pub fn decide_watch(&self) -> Result<()> {
        let allowed = self.may_watch();
        self.audit(
            "",
            allowed,
            if allowed { "a rule allows it" } else { "no rule allows actions" },
        );
        let call = self.call;
        if allowed { Ok(()) } else { Err(Error::denied(format!("{call}: you may read, no more"))) }
    }

    /// Refuses a caller whose proof is no good any more: what goes on for long asks again. Writes the
    /// audit line if it refuses.
    ///
    /// # Errors
    /// `Unauthenticated` for a token that has expired or was withdrawn.
    pub fn must_be_known(&self) -> Result<()> {
        let Some(granted) = &self.granted else { return Ok(()) };
        let Some(reason) = granted.auth.withdrawn(&granted.identity, now_s()) else {
            return Ok(());
        };
        self.audit("", false, reason);
        Err(Error::unauthenticated("your credentials are valid no more: ask again with others"))
    }

    /// Refuses a ticket that was made for another principal.
    ///
    /// # Errors
    /// `Denied` for a ticket of anybody else's, or of nobody's where the caller is somebody.
    pub fn must_own(&self, ticket_principal: Option<&str>) -> Result<()> {
        if self.granted.is_none() || self.principal() == ticket_principal {
            return Ok(());
        }
        self.audit("", false, "the ticket is another principal's");
        Err(Error::denied("ticket was made for somebody else: get your own by GetFlightInfo"))
    }

    /// Says in the audit log that the datasets it may read were listed for it.
    pub fn listed(&self, datasets: usize) {
        if let Some(granted) = &self.granted {
            audit::listed(granted.principal(), self.call, datasets);
        }
    }

    fn audit(&self, dataset: &str, allowed: bool, reason: &'static str) {
        if let Some(granted) = &self.granted {
            audit::decided(granted.principal(), self.call, dataset, allowed, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Pattern, Proof, Rule, rules::Rules};

    fn caller() -> Caller {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        let rule = |datasets: &str, actions| Rule {
            principal: pattern("alice"),
            datasets: vec![pattern(datasets)],
            actions,
        };
        let rules = Rules::new(vec![rule("read*", false), rule("act*", true)]);
        let identity = Identity { principal: Arc::from("alice"), proof: Proof::Certificate };
        let auth = Auth { tokens: None, oidc: None, rules };
        Caller::known("GetFlightInfo", identity, Arc::new(auth))
    }

    fn decide(caller: &Caller, dataset: &str) -> Option<ErrorKind> {
        let found = caller.may_read(dataset).then_some(());
        caller.decide(dataset, found, || Error::not_found("none")).err().map(|error| error.kind())
    }

    #[test]
    fn what_may_not_be_read_does_not_exist_and_reading_is_not_acting() {
        let reads = caller();
        let acts = reads.acting("flightcache.evict");
        assert_eq!((decide(&reads, "read1"), decide(&reads, "act1")), (None, None));
        assert_eq!(decide(&reads, "other"), Some(ErrorKind::NotFound));
        assert_eq!(decide(&acts, "other"), Some(ErrorKind::NotFound));
        assert_eq!(decide(&acts, "read1"), Some(ErrorKind::Denied));
        assert_eq!(decide(&acts, "act1"), None);
        assert!(acts.decide_watch().is_ok());
        let anybody = Caller::anybody("DoGet").acting("flightcache.evict");
        assert!(decide(&anybody, "other").is_none() && anybody.decide_watch().is_ok());
    }

    #[test]
    fn tickets_are_for_one_principal() {
        assert!(caller().must_own(Some("alice")).is_ok());
        for other in [None, Some("bob"), Some("Alice"), Some("")] {
            assert_eq!(caller().must_own(other).unwrap_err().kind(), ErrorKind::Denied);
        }
        assert!(Caller::anybody("DoGet").must_own(Some("bob")).is_ok());
    }

    #[test]
    fn a_request_that_nobody_looked_at_is_not_served() {
        let mut extensions = Extensions::new();
        assert_eq!(Caller::of(&extensions).unwrap_err().kind(), ErrorKind::Internal);
        extensions.insert(caller());
        assert_eq!(Caller::of(&extensions).unwrap().principal(), Some("alice"));
    }
}
