#![no_main]
//! DHCP: a message that is written with what was read says the same.

use fourwire_wire::dhcpv4::{Header, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((header, options)) = Header::parse(bytes) else { return };
    let mut message = vec![0xaa; 2 * bytes.len() + Writer::MIN_LEN];
    let mut writer = Writer::new(&mut message, &header).unwrap();
    for option in options.iter() {
        assert!(writer.push(&option).is_some());
    }
    let len = writer.finish();
    let (again, read) = Header::parse(&message[..len]).unwrap();
    assert_eq!(again, header);
    assert!(read.iter().eq(options.iter()));
});
