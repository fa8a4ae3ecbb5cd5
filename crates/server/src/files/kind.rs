//! What kind of file it is: by its first bytes, else by its name.
//!
//! The type is told to people and programs. Browsers are shown only pictures as they are, and those only when their bytes
//! say so; everything else is handed over to be saved.

/// Bytes that tell.
pub(super) const HEAD: usize = 64;

/// The media type of a file that begins with `head` and is called `name`.
pub(super) fn media_type(head: &[u8], name: &str) -> &'static str {
    by_head(head).unwrap_or_else(|| by_name(name))
}

/// Whether a browser may show a file of this type, which was told by its bytes, in our pages.
pub(crate) fn is_safe_picture(media_type: &str) -> bool {
    matches!(media_type, "image/png" | "image/jpeg" | "image/gif" | "image/webp")
}

fn by_head(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, bytes: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(bytes));
    Some(match head {
        _ if at(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if at(0, b"\xff\xd8\xff") => "image/jpeg",
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => "image/gif",
        _ if at(0, b"RIFF") && at(8, b"WEBP") => "image/webp",
        _ if at(0, b"RIFF") && at(8, b"AVI ") => "video/x-msvideo",
        _ if at(0, b"RIFF") && at(8, b"WAVE") => "audio/wav",
        _ if at(0, b"%PDF-") => "application/pdf",
        _ if at(0, b"PK\x03\x04") => "application/zip",
        _ if at(0, b"\x1f\x8b") => "application/gzip",
        _ if at(4, b"ftyp") => "video/mp4",
        _ if at(0, b"\x1aE\xdf\xa3") => "video/webm",
        _ if at(0, b"OggS") => "application/ogg",
        _ if at(0, b"ID3") => "audio/mpeg",
        _ if at(0, b"II*\0") || at(0, b"MM\0*") => "image/tiff",
        _ if at(0, b"BM") && head.len() > 14 && head[6..10] == [0; 4] => "image/bmp",
        _ => return None,
    })
}

fn by_name(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "log" | "md" => "text/plain",
        "csv" => "text/csv",
        "json" => "application/json",
        "xml" => "application/xml",
        "html" | "htm" => "text/html",
        "eml" => "message/rfc822",
        "ics" => "text/calendar",
        "doc" | "docx" => "application/msword",
        "xls" | "xlsx" => "application/vnd.ms-excel",
        // Never a picture: what does not begin like one is none.
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_more_than_names() {
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n....", "a.html"), "image/png");
        assert_eq!(media_type(b"<html>", "a.png"), "application/octet-stream");
        assert_eq!(media_type(b"", "a.TXT"), "text/plain");
        assert!(!is_safe_picture("image/svg+xml"));
        for length in 0..16 {
            media_type(&b"BM\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..length], "");
        }
    }
}
