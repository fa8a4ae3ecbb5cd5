//! Addresses of data connections, as commands and replies write them (RFC 959 section 4.1.2, RFC 2428).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The argument of PORT, and what the reply to PASV has in brackets: `h1,h2,h3,h4,p1,p2`.
pub(super) fn parse_port(text: &str) -> Option<SocketAddr> {
    let mut numbers = text.trim().split(',').map(|number| number.trim().parse::<u8>());
    let mut bytes = [0; 6];
    for byte in &mut bytes {
        *byte = numbers.next()?.ok()?;
    }
    if numbers.next().is_some() {
        return None;
    }
    let [a, b, c, d, high, low] = bytes;
    Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
}

pub(super) fn format_port(address: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = address.octets();
    let [high, low] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// The argument of EPRT: `|1|132.235.1.2|6275|` or `|2|1080::8:800:200C:417A|5282|`, with any delimiter.
pub(super) fn parse_extended(text: &str) -> Option<SocketAddr> {
    let (protocol, address, port) = delimited(text)?;
    let address = match protocol {
        "1" => IpAddr::V4(address.parse::<Ipv4Addr>().ok()?),
        "2" => IpAddr::V6(address.parse::<Ipv6Addr>().ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// What the reply to EPSV has in brackets: `|||6446|`.
pub(super) fn parse_extended_port(text: &str) -> Option<u16> {
    match delimited(text)? {
        ("", "", port) => Some(port),
        _ => None,
    }
}

pub(super) fn format_extended(address: SocketAddr) -> String {
    let protocol = if address.is_ipv4() { 1 } else { 2 };
    format!("|{protocol}|{}|{}|", address.ip(), address.port())
}

fn delimited(text: &str) -> Option<(&str, &str, u16)> {
    // RFC 2428, section 2: any character of ASCII 33 to 126 delimits.
    let delimiter = text.chars().next().filter(char::is_ascii_graphic)?;
    let mut parts = text[1..].split(delimiter);
    let (protocol, address, port) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next() != Some("") || parts.next().is_some() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((protocol, address, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_as_the_rfcs_write_them() {
        assert_eq!(parse_port("132,235,1,2,24,131"), Some("132.235.1.2:6275".parse().unwrap()));
        assert_eq!(parse_extended("|1|132.235.1.2|6275|"), Some("132.235.1.2:6275".parse().unwrap()));
        let v6 = "[1080::8:800:200c:417a]:5282".parse().unwrap();
        assert_eq!(parse_extended("|2|1080::8:800:200C:417A|5282|"), Some(v6));
        assert_eq!(parse_extended("!1!10.0.0.1!20!"), Some("10.0.0.1:20".parse().unwrap()));
        assert_eq!(parse_extended_port("|||6446|"), Some(6446));
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in
            ["", "1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,4,5,256", "1,2,3,4,5,-1", "a,b,c,d,e,f", "1.2.3.4,5,6"]
        {
            assert_eq!(parse_port(text), None, "{text}");
        }
        for text in [
            "",
            "|",
            "é1é10.0.0.1é1é",
            "|1|::1|1|",
            "|2|10.0.0.1|1|",
            "|3|x|1|",
            "|1|10.0.0.1|65536|",
            "|1|10.0.0.1|1",
            "|1|10.0.0.1|+1|",
            "|1|10.0.0.1|1|x",
        ] {
            assert_eq!(parse_extended(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(v4 in any::<Ipv4Addr>(), v6 in any::<Ipv6Addr>(), port in any::<u16>()) {
            prop_assert_eq!(parse_port(&format_port(v4, port)), Some((v4, port).into()));
            prop_assert_eq!(parse_extended(&format_extended((v4, port).into())), Some((v4, port).into()));
            prop_assert_eq!(parse_extended(&format_extended((v6, port).into())), Some((v6, port).into()));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (parse_port(&text), parse_extended(&text), parse_extended_port(&text));
        }
    }
}
