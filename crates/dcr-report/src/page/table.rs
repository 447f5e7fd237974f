//! Tables that can be read on a narrow screen and copied.

use std::borrow::Cow;

use maud::{Markup, html};

/// A column's heading, and whether it holds numbers.
pub(crate) struct Column {
    heading: Cow<'static, str>,
    unit: &'static str,
    number: bool,
}

/// A column of words.
pub(crate) fn words(heading: impl Into<Cow<'static, str>>) -> Column {
    Column { heading: heading.into(), unit: "", number: false }
}

/// A column of numbers in a unit.
pub(crate) fn numbers(heading: impl Into<Cow<'static, str>>, unit: &'static str) -> Column {
    Column { heading: heading.into(), unit, number: true }
}

/// A table under a name by which the button beside it copies it.
pub(crate) fn table(id: &str, caption: &str, columns: &[Column], rows: &[Vec<String>]) -> Markup {
    html! {
        div.table {
            div.above {
                p.caption id={ (id) "-caption" } { (caption) }
                button type="button" data-copy=(id) hidden { "Copy" }
            }
            div.scroll role="region" aria-labelledby={ (id) "-caption" } tabindex="0" {
                table id=(id) aria-labelledby={ (id) "-caption" } {
                    thead {
                        tr {
                            @for column in columns {
                                th.number[column.number] scope="col" {
                                    (column.heading)
                                    @if !column.unit.is_empty() { " " span.unit { (column.unit) } }
                                }
                            }
                        }
                    }
                    tbody {
                        @for row in rows {
                            tr {
                                @for (cell, column) in row.iter().zip(columns) {
                                    td.number[column.number] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
