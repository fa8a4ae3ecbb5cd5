//! Names of files, as clients say them and as the server means them.

use std::fmt;

/// Bytes of a whole path.
const LONGEST: usize = 1024;
/// Bytes of one part, which is what file systems take.
const LONGEST_PART: usize = 255;
/// Parts of a path.
const DEEPEST: usize = 16;

/// An absolute path, without `.`, `..` or empty parts: there is nothing in it that could lead anywhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<String>);

/// A path that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is too long, or too deep.
    #[error("the path is too long")]
    TooLong,
    /// It has control characters, or a backslash that some system takes for a separator.
    #[error("the path has characters that no name may have")]
    Characters,
}

impl Path {
    /// The root directory.
    pub fn root() -> Self {
        Self::default()
    }

    /// What `text` means where `self` is the working directory. `..` of the root is the root.
    ///
    /// # Errors
    ///
    /// When it is no path, or longer than the bounds.
    pub fn resolve(&self, text: &str) -> Result<Self, PathError> {
        if text.len() > LONGEST {
            return Err(PathError::TooLong);
        }
        if text.contains(|character: char| character.is_control() || character == '\\') {
            return Err(PathError::Characters);
        }
        let mut parts = if text.starts_with('/') { Vec::new() } else { self.0.clone() };
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => _ = parts.pop(),
                part if part.len() > LONGEST_PART => return Err(PathError::TooLong),
                part => parts.push(part.to_owned()),
            }
        }
        let path = Self(parts);
        if path.0.len() > DEEPEST || path.0.iter().map(|part| part.len() + 1).sum::<usize>() > LONGEST {
            return Err(PathError::TooLong);
        }
        Ok(path)
    }

    /// From the root on.
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// The last part; none of the root.
    pub fn name(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// The directory that it is in; the root is in itself.
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// What is called `name` in it.
    pub fn join(&self, name: &str) -> Self {
        Self(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("/");
        }
        self.0.iter().try_for_each(|part| write!(formatter, "/{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_leads_above_the_root() {
        let lobby = Path::root().resolve("/rooms/lobby").unwrap();
        for (text, means) in [
            ("a.jpg", "/rooms/lobby/a.jpg"),
            ("/a//b/./c", "/a/b/c"),
            ("..", "/rooms"),
            ("../../../../etc/passwd", "/etc/passwd"),
            ("/../..", "/"),
            ("", "/rooms/lobby"),
            ("...", "/rooms/lobby/..."),
        ] {
            assert_eq!(lobby.resolve(text).unwrap().to_string(), means, "{text}");
        }
        for text in ["a\nb", "a\0", "..\\..\\boot.ini", "\u{85}"] {
            assert_eq!(lobby.resolve(text), Err(PathError::Characters), "{text:?}");
        }
        assert_eq!(lobby.resolve(&"x".repeat(256)), Err(PathError::TooLong));
        assert_eq!(lobby.resolve(&"x/".repeat(15)), Err(PathError::TooLong));
    }

    proptest! {
        #[test]
        fn a_path_has_only_plain_parts(working in "[a-z./]{0,20}", text in "[a-z./\\\\ ]{0,60}") {
            let Ok(working) = Path::root().resolve(&working) else { return Ok(()) };
            let Ok(path) = working.resolve(&text) else { return Ok(()) };
            prop_assert!(path.parts().iter().all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('/')));
            prop_assert_eq!(Path::root().resolve(&path.to_string()), Ok(path));
        }
    }
}
