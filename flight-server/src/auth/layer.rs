//! Authenticates every call in front of everything that answers one.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use tonic::{body::Body, transport::server::TlsConnectInfo};
use tower::{Layer, Service};

use super::{Auth, Caller, Identity, Presented, Refusal, audit::refused, certificate};
use crate::{accept::Line, status::told};

const SERVICE: &str = "/arrow.flight.protocol.FlightService/";
/// The calls there are, as errors and audit lines name them.
const CALLS: [&str; 10] = [
    "Handshake",
    "ListFlights",
    "GetFlightInfo",
    "PollFlightInfo",
    "GetSchema",
    "DoGet",
    "DoPut",
    "DoExchange",
    "DoAction",
    "ListActions",
];

/// Wraps a gRPC service so that every request in it has a [`Caller`] among its extensions; one
/// whose caller proves nothing is answered here, before its body is read.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    auth: Option<Arc<Auth>>,
}

impl AuthLayer {
    /// The layer that asks `auth`, or lets everybody in where there is none.
    pub fn new(auth: Option<Arc<Auth>>) -> Self {
        Self { auth }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { auth: self.auth.clone(), inner }
    }
}

/// What [`AuthLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    auth: Option<Arc<Auth>>,
    inner: S,
}

impl<S, B> Service<http::Request<Body>> for AuthService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Default,
{
    type Response = http::Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let call = name(request.uri().path());
        let Some(auth) = self.auth.clone() else {
            request.extensions_mut().insert(Caller::anybody(call));
            return Box::pin(self.inner.call(request));
        };
        // The clone that takes its place was not asked whether it is ready; this one was.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            match identify(&auth, &head).await {
                Ok(identity) => {
                    head.extensions.insert(Caller::known(call, identity, auth));
                    inner.call(http::Request::from_parts(head, body)).await
                }
                Err(refusal) => {
                    refused(call, refusal.reason());
                    Ok(told(&refusal.error()).into_http())
                }
            }
        })
    }
}

async fn identify(auth: &Auth, head: &Parts) -> Result<Identity, Refusal> {
    let certificate = head
        .extensions
        .get::<TlsConnectInfo<Line>>()
        .and_then(TlsConnectInfo::peer_certs)
        .and_then(|chain| certificate::principal(chain.first()?));
    let bearer = bearer(&head.headers)?;
    auth.identify(Presented { bearer, certificate: certificate.as_deref() }).await
}

/// The bearer token of a request, if it shows any credentials in its headers.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = shown.next() else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer") && shown.next().is_none() =>
        {
            Ok(Some(token.trim()))
        }
        _ => Err(Refusal::Credentials("no bearer token")),
    }
}

/// The call that a path stands for.
fn name(path: &str) -> &'static str {
    let call = path.strip_prefix(SERVICE);
    CALLS.into_iter().find(|known| Some(*known) == call).unwrap_or("unknown call")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{HeaderValue, Request};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::auth::rules::Rules;

    fn headers(values: &[&str]) -> HeaderMap {
        let pair = |value: &&str| (AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        values.iter().map(pair).collect()
    }

    #[test]
    fn one_bearer_token_is_taken() {
        for (values, token) in [
            (vec![], Ok(None)),
            (vec!["Bearer a.b.c"], Ok(Some("a.b.c"))),
            (vec!["bearer x"], Ok(Some("x"))),
            (vec!["Bearer "], Ok(Some(""))),
            (vec!["Bearer"], Err(())),
            (vec!["x"], Err(())),
            (vec!["Basic dTpw"], Err(())),
            (vec!["Bearer a", "Bearer b"], Err(())),
        ] {
            assert_eq!(bearer(&headers(&values)).map_err(|_| ()), token, "{values:?}");
        }
    }

    /// The gRPC status that a path gets from a service that counts its calls and needs a caller.
    async fn answered(auth: Option<Arc<Auth>>, path: &str) -> (Option<String>, usize) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let inner = service_fn(move |request: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            assert!(Caller::of(request.extensions()).is_ok());
            async { Ok::<_, Infallible>(http::Response::new(Body::empty())) }
        });
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = AuthLayer::new(auth).layer(inner).oneshot(request).await.unwrap();
        let status = response.headers().get("grpc-status");
        let status = status.map(|status| status.to_str().unwrap().to_owned());
        (status, calls.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn nothing_behind_it_is_reached_without_credentials() {
        let auth = || Arc::new(Auth { tokens: None, oidc: None, rules: Rules::default() });
        let paths = CALLS.map(|call| format!("{SERVICE}{call}"));
        let others = ["/grpc.health.v1.Health/Check", "/", "/nowhere"].map(str::to_owned);
        for path in paths.iter().chain(&others) {
            let refused = answered(Some(auth()), path).await;
            assert_eq!(refused, (Some("16".to_owned()), 0), "{path}");
            assert_eq!(answered(None, path).await, (None, 1), "{path}");
        }
    }
}
