//! Fourwire's TCP/IP as packetdrill sees a kernel: a shared object for its `--so_filename`, on virtual time.
//!
//! packetdrill plays a script against a stack: system calls on one side, packets on the other, each with the time at
//! which it must happen. It asks this library for the sockets, the packets and the time. The time is virtual: it moves when
//! packetdrill sleeps, looks at the clock, or waits for a packet, and then exactly as far as the stack's next deadline. So a
//! script's outcome does not depend on the machine.
//!
//! [`abi`] is the C side, and all of the `unsafe`; [`world`] the host with its clock and sockets; [`options`] the socket
//! options; [`sysctl`] what of the kernel's settings, which scripts change, our stack has as well.

#![deny(unsafe_code)]

mod abi;
mod calls;
mod options;
mod sysctl;
mod world;
