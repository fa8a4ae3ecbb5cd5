//! The doors: joins the hub and the application protocols on any Fourwire host.
