//! The page in a real browser, as a visitor meets it.
//!
//! Needs chromedriver, Chromium and a built page: `make test` brings all three. The page is served under a sub-path and
//! without any special header, as static hosts do.

mod accessibility;
mod cabinet;
mod circumstances;
mod embed;
mod favourites;
mod hatching;
mod learning;
mod offline;
mod screenshots;
mod studio;
mod visitor;
