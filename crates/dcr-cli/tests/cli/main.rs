//! `dcr` from the command line: output and exit codes.

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
