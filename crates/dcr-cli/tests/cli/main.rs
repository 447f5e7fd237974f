//! `dcr` as its users meet it: what it prints and how it ends.

mod assemble;
mod book;
mod config;
mod console;
mod errors;
mod fixture;
mod help;
mod inspect;
mod interruption;
mod others;
mod subtract;
mod terminal;
