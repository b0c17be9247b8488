//! The HTTP client of the stores, with object_store's options and without redirects.
//!
//! object_store's own client follows redirects, and so would send what a node signed, and take what
//! it then serves, wherever an answer says. Nor does it tell a slow answer from none at all.

use std::{fmt::Display, io, str::FromStr, time::Duration};

use object_store::{ClientConfigKey, ClientOptions, Error, Result};
use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy, redirect::Policy};

/// What the stores are told about us, where no option says it.
const USER_AGENT: &str = concat!("flightcache/", env!("CARGO_PKG_VERSION"));

/// A client with `options`, that gives a request up when it brings nothing for `stall_timeout`.
///
/// Addresses of a name are tried in the order of the resolver: `randomize_addresses` has no effect.
///
/// # Errors
/// `Generic` naming an option whose value cannot be used.
pub(super) fn client(options: &ClientOptions, stall_timeout: Duration) -> Result<Client> {
    use ClientConfigKey as Key;
    let asked = Asked(options);
    let agent = asked.text(Key::UserAgent).unwrap_or_else(|| USER_AGENT.to_owned());
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .read_timeout(stall_timeout)
        .user_agent(agent)
        .https_only(!asked.is(Key::AllowHttp)?)
        .danger_accept_invalid_certs(asked.is(Key::AllowInvalidCertificates)?)
        .http2_keep_alive_while_idle(asked.is(Key::Http2KeepAliveWhileIdle)?);
    builder = proxied(builder, &asked)?;
    if let Some(timeout) = asked.duration(Key::Timeout)? {
        builder = builder.timeout(timeout);
    }
    if let Some(timeout) = asked.duration(Key::ConnectTimeout)? {
        builder = builder.connect_timeout(timeout);
    }
    if let Some(timeout) = asked.duration(Key::PoolIdleTimeout)? {
        builder = builder.pool_idle_timeout(timeout);
    }
    if let Some(most) = asked.number(Key::PoolMaxIdlePerHost)? {
        builder = builder.pool_max_idle_per_host(most);
    }
    if let Some(interval) = asked.duration(Key::Http2KeepAliveInterval)? {
        builder = builder.http2_keep_alive_interval(interval);
    }
    if let Some(timeout) = asked.duration(Key::Http2KeepAliveTimeout)? {
        builder = builder.http2_keep_alive_timeout(timeout);
    }
    if let Some(bytes) = asked.number::<u32>(Key::Http2MaxFrameSize)? {
        builder = builder.http2_max_frame_size(Some(bytes));
    }
    if asked.is(Key::Http1Only)? {
        builder = builder.http1_only();
    }
    if asked.is(Key::Http2Only)? {
        builder = builder.http2_prior_knowledge();
    }
    builder.build().map_err(generic)
}

fn proxied(mut builder: ClientBuilder, asked: &Asked<'_>) -> Result<ClientBuilder> {
    let Some(url) = asked.text(ClientConfigKey::ProxyUrl) else { return Ok(builder) };
    if let Some(pem) = asked.text(ClientConfigKey::ProxyCaCertificate) {
        let certificate = Certificate::from_pem(pem.as_bytes()).map_err(generic)?;
        builder = builder.add_root_certificate(certificate);
    }
    let excluded = asked.text(ClientConfigKey::ProxyExcludes);
    let excluded = excluded.as_deref().and_then(NoProxy::from_string);
    Ok(builder.proxy(Proxy::all(url).map_err(generic)?.no_proxy(excluded)))
}

/// Options, read as the text that object_store gives of them.
struct Asked<'a>(&'a ClientOptions);

impl Asked<'_> {
    fn text(&self, key: ClientConfigKey) -> Option<String> {
        self.0.get_config_value(&key)
    }

    fn is(&self, key: ClientConfigKey) -> Result<bool> {
        let text = self.text(key).unwrap_or_default().to_ascii_lowercase();
        match text.as_str() {
            "1" | "true" | "on" | "yes" | "y" => Ok(true),
            "" | "0" | "false" | "off" | "no" | "n" => Ok(false),
            _ => Err(unusable(key, "true or false")),
        }
    }

    fn duration(&self, key: ClientConfigKey) -> Result<Option<Duration>> {
        let parse = |text: String| humantime::parse_duration(&text);
        let wrong = |_| unusable(key, "a duration such as 30s");
        self.text(key).map(parse).transpose().map_err(wrong)
    }

    fn number<T: FromStr>(&self, key: ClientConfigKey) -> Result<Option<T>> {
        let parse = |text: String| text.parse();
        self.text(key).map(parse).transpose().map_err(|_| unusable(key, "a number"))
    }
}

fn unusable(key: ClientConfigKey, expected: impl Display) -> Error {
    generic(io::Error::other(format!("option {} is not {expected}", key.as_ref())))
}

fn generic(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "HTTP client", source: Box::new(error) }
}
