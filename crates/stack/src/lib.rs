//! Fourwire's own TCP/IP as a host: the sockets of [`tcpip`], over any runtime and any device.

#![deny(unsafe_code)]

pub mod device;
mod sockets;

pub use device::Device;
pub use sockets::{
    DeviceCounters, EchoAnswer, StackConnection, StackDatagrams, StackEcho, StackHost, StackListener,
};
