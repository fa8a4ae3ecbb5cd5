use proptest::prelude::*;

use crate::handshake::extensions::{Malformed, parse};

/// Prints what was read in one plain form.
fn read(line: &str) -> Result<String, Malformed> {
    let extensions = parse([line.as_bytes()])?;
    let printed = extensions.iter().map(|extension| {
        extension.parameters.iter().fold(extension.name.to_owned(), |printed, parameter| {
            match &parameter.value {
                Some(value) => format!("{printed};{}={value}", parameter.name),
                None => format!("{printed};{}", parameter.name),
            }
        })
    });
    Ok(printed.collect::<Vec<_>>().join(","))
}

#[test]
fn lists_that_follow_the_grammar() {
    for (line, printed) in [
        ("", ""),
        (" , ,, ", ""),
        ("foo", "foo"),
        ("foo,bar; baz=2", "foo,bar;baz=2"),
        ("\tfoo ; a = 1 ; b ,bar", "foo;a=1;b,bar"),
        (
            "permessage-deflate; client_max_window_bits=\"1\\0\"",
            "permessage-deflate;client_max_window_bits=10",
        ),
        ("a;b=\"c\",", "a;b=c"),
    ] {
        assert_eq!(read(line).as_deref(), Ok(printed), "{line:?}");
    }
    let lines: [&[u8]; 2] = [b"a, b", b"c;d"];
    assert_eq!(parse(lines).map(|extensions| extensions.len()), Ok(3));
}

#[test]
fn lists_that_do_not() {
    for line in [
        "foo bar",
        "foo;",
        "foo;;a",
        ";a",
        "foo;=1",
        "foo;a=",
        "foo;a=\"",
        "foo;a=\"\"",
        "foo;a=\"b",
        "foo;a=\"b c\"",
        "foo;a=\"b\\",
        "foo;a=\"b\\\"\"",
        "foo;a=b=c",
        "f\u{f6}o",
        "foo;a=1 2",
        "(foo)",
        "foo\r\n",
    ] {
        assert_eq!(read(line), Err(Malformed), "{line:?}");
    }
}

#[test]
fn long_lists_are_refused() {
    assert!(read(&"a,".repeat(32)).is_ok());
    assert_eq!(read(&"a,".repeat(33)), Err(Malformed));
    assert!(read(&format!("a{}", ";b".repeat(32))).is_ok());
    assert_eq!(read(&format!("a{}", ";b".repeat(33))), Err(Malformed));
}

proptest! {
    #[test]
    fn anything_is_survived(line in "[ab;,=\"\\\\ \t\u{e4}]{0,60}") {
        if let Ok(printed) = read(&line) {
            // What was understood is understood the same again.
            prop_assert_eq!(read(&printed), Ok(printed));
        }
    }
}
