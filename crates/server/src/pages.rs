//! The pages: what lies in `web/`, in the binary itself (in debug builds read from the disk at each request).

use std::borrow::Cow;

use bytes::Bytes;
use rust_embed::Embed;

#[derive(Embed)]
#[folder = "../../web/"]
#[allow_missing = true]
#[include = "*.html"]
#[include = "*.css"]
#[include = "*.js"]
#[include = "*.svg"]
#[include = "*.png"]
#[include = "*.ico"]
#[include = "*.woff2"]
#[include = "*.webmanifest"]
#[include = "*LICENSE*"]
#[exclude = "*node_modules/*"]
struct Web;

/// One file of the pages.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) bytes: Bytes,
    /// A quoted entity tag (RFC 9110 section 8.8.3), from the hash of the bytes.
    pub(crate) etag: String,
    pub(crate) content_type: &'static str,
}

/// The file at `path` of a URL; `/` is `index.html`.
pub(crate) fn find(path: &str) -> Option<Page> {
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name => name,
    };
    // Our files have plain names: what needs decoding, or climbs, is not one of them.
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) || name.contains(['%', '\\']) {
        return None;
    }
    let file = Web::get(name)?;
    let hash = file.metadata.sha256_hash();
    let etag = hash[..12].iter().fold(String::from("\""), |tag, byte| tag + &format!("{byte:02x}")) + "\"";
    let bytes = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Some(Page { bytes, etag, content_type: content_type(name) })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_and_nothing_above_it() {
        let page = find("/").expect("web/index.html");
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert!(page.etag.starts_with('"') && page.etag.len() == 26, "{}", page.etag);
        for path in
            ["", "index.html", "//index.html", "/../Cargo.toml", "/app/../index.html", "/%2e%2e/Cargo.toml"]
        {
            assert!(find(path).is_none(), "{path}");
        }
        for path in ["/vendor/build.mjs", "/vendor/package.json", "/vendor/node_modules/centrifuge/README.md"]
        {
            assert!(find(path).is_none(), "{path} is not for the public");
        }
    }
}
