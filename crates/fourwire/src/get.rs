//! `fourwire get`: fetches what is at an address of the web, or of an FTP server.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use ::client::Unreachable;
use application::dns;
use application::ftp::client as ftp;
use application::http::client;
use bytes::Bytes;
use host::{Host, Instant, timeout_at};
use http::header::{ACCEPT, LOCATION, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use tls::Stream;

use crate::names;
use crate::network::{self, Learned, Opened};
use crate::trust;

/// Fetch what is at an http://, https:// or ftp:// address, and print it.
///
/// Follows redirects. An ftp:// address that ends with / lists names; ftpes:// asks for TLS. Exit status 1 when the server
/// answers with an error.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// What to fetch, such as http://127.0.0.1:8000/health
    url: Uri,

    /// Write it to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the response's head before it
    #[arg(short, long)]
    include: bool,

    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,

    /// Take no more than so many MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    limit: u32,

    #[command(flatten)]
    names: names::Args,

    #[command(flatten)]
    network: network::Args,

    #[command(flatten)]
    trust: trust::Args,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} is not an http://, https:// or ftp:// address with a host")]
    Address(Uri),
    #[error(transparent)]
    Name(#[from] dns::Error),
    #[error(transparent)]
    Connect(#[from] Unreachable),
    #[error(transparent)]
    Trust(#[from] trust::Error),
    #[error("no TLS with {0}: {1}")]
    Tls(String, tls::Error),
    #[error("nobody at {0} answered within {1} s")]
    Late(Uri, u32),
    #[error(transparent)]
    Exchange(#[from] client::Error),
    #[error(transparent)]
    Ftp(#[from] ftp::Error),
    #[error("more than {REDIRECTS} redirects, the last to {0}")]
    Redirects(Uri),
    #[error("the server redirects to nowhere")]
    Nowhere,
    #[error("the server answered {0}")]
    Status(http::StatusCode),
    #[error("cannot write what was fetched: {0}")]
    Output(io::Error),
    #[error(transparent)]
    Network(#[from] network::Error),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    #[error("interrupted")]
    Interrupted,
}

/// Redirects that are followed.
const REDIRECTS: usize = 10;

/// Fetches on the network that was asked for.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let fetched = kernel::run(1, |host| {
        let args = args.clone();
        async move {
            let fetching = async |opened, learned: &Learned| match opened {
                Opened::Kernel(host) => fetch(host, learned, &args).await,
                Opened::Own(host) => fetch(host, learned, &args).await,
            };
            args.network.with(host, fetching).await?.ok_or(Error::Interrupted)
        }
    })?;
    let response = fetched.into_iter().next().unwrap_or(Err(Error::Interrupted))?;
    write(&args, &response).map_err(Error::Output)?;
    match response.status() {
        status if status.is_client_error() || status.is_server_error() => Err(Error::Status(status)),
        _ => Ok(()),
    }
}

/// What is at the address, behind its redirects.
async fn fetch<H: Host>(host: H, learned: &Learned, args: &Args) -> Result<Response<Bytes>, Error> {
    let resolver = args.names.resolver(host.clone(), learned)?;
    let deadline = host.now() + Duration::from_secs(args.timeout.into());
    let mut url = args.url.clone();
    if matches!(url.scheme_str(), Some("ftp" | "ftpes")) {
        let fetching = fetch_file(&host, &resolver, args, deadline);
        return fetching.await.map(Response::new);
    }
    for _ in 0..=REDIRECTS {
        let response = timeout_at(&host, deadline, async {
            let connection = connect(&host, &resolver, args, &url, deadline).await?;
            Ok::<_, Error>(exchange(&host, connection, deadline, &url, args.limit).await?)
        })
        .await
        .map_err(|_| Error::Late(url.clone(), args.timeout))??;
        if !response.status().is_redirection() || response.status() == http::StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        url = redirected(&url, response.headers().get(LOCATION)).ok_or(Error::Nowhere)?;
    }
    Err(Error::Redirects(url))
}

/// What an FTP server has at the address: a file, or the names in a directory.
async fn fetch_file<H: Host>(
    host: &H,
    resolver: &dns::Resolver<H>,
    args: &Args,
    deadline: Instant,
) -> Result<Bytes, Error> {
    let wrong = || Error::Address(args.url.clone());
    let authority = args.url.authority().ok_or_else(wrong)?;
    let name = authority.host();
    let addresses = names::addresses(resolver, name, authority.port_u16().unwrap_or(21)).await?;
    let (_, connection) = ::client::connect(host, &addresses, deadline).await?;
    let mut client = ftp::Client::begin(host.clone(), connection, deadline).await?;
    if args.url.scheme_str() == Some("ftpes") {
        let tls = args.trust.client(host, &[])?;
        client.secure(&tls, name.trim_matches(['[', ']'])).await?;
    }
    let said = authority.as_str().rsplit_once('@').map(|(said, _)| said);
    let (user, password) = match said {
        Some(said) => said.split_once(':').unwrap_or((said, "")),
        None => ("anonymous", "fourwire@"),
    };
    let (user, password) = (decoded(user).ok_or_else(wrong)?, decoded(password).ok_or_else(wrong)?);
    client.log_in(&user, &password).await?;
    let path = decoded(args.url.path()).ok_or_else(wrong)?;
    let limit = args.limit as usize * 1024 * 1024;
    let mut file = Vec::new();
    if path.ends_with('/') {
        for name in client.names(&path, limit).await? {
            file.extend_from_slice(name.as_bytes());
            file.push(b'\n');
        }
    } else {
        let take = |bytes: Bytes| {
            file.extend_from_slice(&bytes);
            if file.len() > limit { Err(ftp::Error::TooLong(limit)) } else { Ok(()) }
        };
        client.fetch(&path, 0, take).await?;
    }
    // It has come whole; how the server says goodbye changes nothing.
    let _ = client.quit().await;
    Ok(file.into())
}

/// A part of an address without its percent signs (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, more) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = more;
    }
    String::from_utf8(bytes).ok()
}

/// Connects to whichever address of the server answers first, and shakes hands for TLS where the address asks for it.
async fn connect<H: Host>(
    host: &H,
    resolver: &dns::Resolver<H>,
    args: &Args,
    url: &Uri,
    deadline: Instant,
) -> Result<Stream<H::Connection>, Error> {
    let wrong = || Error::Address(url.clone());
    let authority = url.authority().ok_or_else(wrong)?;
    let (secure, usual) = match url.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return Err(wrong()),
    };
    let name = authority.host();
    let addresses = names::addresses(resolver, name, authority.port_u16().unwrap_or(usual)).await?;
    let (_, connection) = ::client::connect(host, &addresses, deadline).await?;
    if !secure {
        return Ok(Stream::Plain(connection));
    }
    let name = name.trim_matches(['[', ']']);
    let tls = args.trust.client(host, &["http/1.1"])?;
    let connection = tls.connect(host, connection, name, deadline).await;
    connection
        .map(|connection| Stream::Tls(Box::new(connection)))
        .map_err(|error| Error::Tls(name.to_owned(), error))
}

async fn exchange<H: Host>(
    host: &H,
    connection: Stream<H::Connection>,
    deadline: Instant,
    url: &Uri,
    limit: u32,
) -> Result<Response<Bytes>, client::Error> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.clone();
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
    let agent = concat!("fourwire/", env!("CARGO_PKG_VERSION"));
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
    client::send(connection, host, deadline, request, limit as usize * 1024 * 1024).await
}

/// Where a redirect leads: an address, or a path on the same server.
fn redirected(from: &Uri, location: Option<&HeaderValue>) -> Option<Uri> {
    let location: Uri = location?.to_str().ok()?.parse().ok()?;
    let to = location.into_parts();
    let mut parts = from.clone().into_parts();
    if to.authority.is_some() {
        parts.authority = to.authority;
        parts.scheme = to.scheme.or(parts.scheme);
    }
    parts.path_and_query = to.path_and_query;
    Uri::from_parts(parts).ok()
}

fn write(args: &Args, response: &Response<Bytes>) -> io::Result<()> {
    let mut head = Vec::new();
    if args.include {
        writeln!(head, "{:?} {}", response.version(), response.status())?;
        for (name, value) in response.headers() {
            head.extend_from_slice(format!("{name}: ").as_bytes());
            head.extend_from_slice(value.as_bytes());
            head.push(b'\n');
        }
        head.push(b'\n');
    }
    let write = |out: &mut dyn Write| {
        out.write_all(&head)?;
        out.write_all(response.body())?;
        out.flush()
    };
    match &args.output {
        Some(path) => write(&mut std::fs::File::create(path)?),
        None => match write(&mut io::stdout().lock()) {
            // Whoever read has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_decoded() {
        assert_eq!(decoded("/k%C3%BCche%20a").as_deref(), Some("/küche a"));
        for text in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }

    #[test]
    fn redirects_lead_to_an_address_or_a_path() {
        let from: Uri = "http://door.lab:8000/a?b".parse().unwrap();
        let to = |location: &'static str| {
            redirected(&from, Some(&HeaderValue::from_static(location))).map(|uri| uri.to_string())
        };
        assert_eq!(to("/c").as_deref(), Some("http://door.lab:8000/c"));
        assert_eq!(to("http://gate.lab/").as_deref(), Some("http://gate.lab/"));
        assert_eq!(redirected(&from, None), None);
    }
}
