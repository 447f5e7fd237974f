//! Binary tables: columns by their cards, and locations of cells.
//!
//! # References
//!
//! - FITS 4.0 standard, §7.3 (binary tables), §7.3.5 (variable-length arrays).

use crate::header::Header;

use super::samples::Scaling;

/// Maximum number of columns in the standard.
const MOST_COLUMNS: i64 = 999;

/// The layout of a binary table, verified.
#[derive(Debug)]
pub(super) struct TableLayout {
    pub(super) row_length: u64,
    pub(super) rows: u64,
    /// Offset of the heap within the data, and its size in bytes.
    heap: (u64, u64),
    columns: Vec<Column>,
}

/// A column: type, numbers per cell and the offset in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    form: Form,
    offset: u64,
}

/// A TFORM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    /// Number of elements per row; for variable-length arrays 0 or 1 descriptors.
    repeat: u64,
    /// Letter of the elements.
    letter: u8,
    /// Size in bytes of the two numbers of a descriptor; `None` for columns of fixed length.
    descriptor: Option<u64>,
}

/// Location of the numbers of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellPlace {
    /// In the row: offset in the data, count, and BITPIX.
    Row { offset: u64, count: u64, bitpix: i64 },
    /// In the heap: offset and size of the descriptor, and BITPIX of the numbers.
    Heap { descriptor: u64, size: u64, bitpix: i64 },
}

/// The number of a column, from 1, by its TTYPE without case; `None` if the table lacks it.
pub(super) fn column_number(header: &Header, name: &str) -> Option<i32> {
    let fields = header.i64("TFIELDS")?.clamp(0, MOST_COLUMNS) as i32;
    (1..=fields)
        .find(|n| header.text(&format!("TTYPE{n}")).is_some_and(|other| other.eq_ignore_ascii_case(name)))
}

impl TableLayout {
    /// The layout from TFIELDS, TFORMn and THEAP, for rows of `row_length` bytes followed by
    /// `rest` bytes.
    ///
    /// # Errors
    ///
    /// The invalid card, or the one that contradicts NAXIS1, NAXIS2 or PCOUNT.
    pub(super) fn read(header: &Header, row_length: u64, rows: u64, rest: u64) -> Result<Self, String> {
        let fields = header
            .i64("TFIELDS")
            .filter(|fields| (0..=MOST_COLUMNS).contains(fields))
            .ok_or_else(|| unexpected(header, "TFIELDS", "a number of columns from 0 to 999"))?;
        let mut columns = Vec::new();
        let mut offset = 0_u64;
        for number in 1..=fields {
            let keyword = format!("TFORM{number}");
            let wrong = || unexpected(header, &keyword, "a type such as 16E or 1PB");
            let form = header.text(&keyword).and_then(Form::parse).ok_or_else(wrong)?;
            columns.push(Column { form, offset });
            offset = form.width().and_then(|width| offset.checked_add(width)).ok_or_else(wrong)?;
        }
        if offset != row_length {
            return Err(format!(
                "NAXIS1 = {row_length}, but the columns by their TFORMs have {offset} bytes"
            ));
        }
        if row_length == 0 && rows > 0 {
            return Err(format!("NAXIS1 = 0, but NAXIS2 = {rows} rows"));
        }
        let main = row_length * rows;
        let heap = match header.get("THEAP") {
            None => main,
            Some(_) => header
                .i64("THEAP")
                .and_then(|heap| u64::try_from(heap).ok())
                .filter(|heap| (main..=main + rest).contains(heap))
                .ok_or_else(|| {
                    unexpected(header, "THEAP", &format!("a byte from {main} to {}", main + rest))
                })?,
        };
        Ok(Self { row_length, rows, heap: (heap, main + rest - heap), columns })
    }

    /// Location of a cell; columns count from 1, rows from 0.
    ///
    /// # Errors
    ///
    /// For a missing cell, or one without numbers.
    pub(super) fn cell(&self, number: i32, row: usize) -> Result<CellPlace, String> {
        let (column, row) = (self.column(number)?, self.row(row)?);
        let bitpix = column.form.bitpix().ok_or_else(|| {
            format!("TFORM{number} has the type {}; expected numbers", char::from(column.form.letter))
        })?;
        let offset = row * self.row_length + column.offset;
        Ok(match column.form.descriptor {
            None => CellPlace::Row { offset, count: column.form.repeat, bitpix },
            Some(_) if column.form.repeat == 0 => CellPlace::Row { offset, count: 0, bitpix },
            Some(size) => CellPlace::Heap { descriptor: offset, size, bitpix },
        })
    }

    /// Offset and size in bytes of a text cell; columns count from 1, rows from 0.
    ///
    /// # Errors
    ///
    /// For a missing cell, or one without text of fixed length.
    pub(super) fn text_cell(&self, number: i32, row: usize) -> Result<(u64, u64), String> {
        let (column, row) = (self.column(number)?, self.row(row)?);
        match column.form {
            Form { letter: b'A', descriptor: None, repeat } => {
                Ok((row * self.row_length + column.offset, repeat))
            }
            form => Err(format!("TFORM{number} has the type {}; expected text", char::from(form.letter))),
        }
    }

    fn column(&self, number: i32) -> Result<Column, String> {
        let column = usize::try_from(number).ok().and_then(|n| self.columns.get(n.checked_sub(1)?));
        column
            .copied()
            .ok_or_else(|| format!("the table has {} columns, no column {number}", self.columns.len()))
    }

    fn row(&self, row: usize) -> Result<u64, String> {
        let inside = Some(row as u64).filter(|row| *row < self.rows);
        inside.ok_or_else(|| format!("the table has {} rows, no row {row}", self.rows))
    }

    /// Offset in the data and count of the array of a descriptor.
    ///
    /// # Errors
    ///
    /// If the array exceeds the heap.
    pub(super) fn in_heap(&self, descriptor: &[u8], bitpix: i64) -> Result<(u64, u64), String> {
        let (count, at) = descriptor.split_at(descriptor.len() / 2);
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        let (count, at) = (number(count), number(at));
        let (heap, length) = self.heap;
        let fits = count
            .checked_mul(bitpix.unsigned_abs() / 8)
            .and_then(|bytes| bytes.checked_add(at))
            .is_some_and(|end| end <= length);
        if !fits && count > 0 {
            return Err(format!(
                "a descriptor wants {count} numbers from byte {at} of the heap, which has {length} bytes"
            ));
        }
        Ok((heap + if count > 0 { at } else { 0 }, count))
    }

    /// The scaling of a column.
    ///
    /// # Errors
    ///
    /// The invalid card.
    pub(super) fn scaling(header: &Header, number: i32) -> Result<Scaling, String> {
        let [scale, zero, null] = ["TSCAL", "TZERO", "TNULL"].map(|name| format!("{name}{number}"));
        Scaling::read(header, &scale, &zero, &[&null])
    }
}

impl Form {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let repeat = if digits == 0 { 1 } else { text[..digits].parse().ok()? };
        let mut letters = text[digits..].bytes();
        let form = match letters.next()? {
            kind @ (b'P' | b'Q') => {
                let descriptor = Some(if kind == b'P' { 4 } else { 8 });
                Self { repeat, letter: letters.next()?, descriptor }
            }
            letter => Self { repeat, letter, descriptor: None },
        };
        let known = b"LXBIJKAEDCM".contains(&form.letter) && (form.descriptor.is_none() || repeat <= 1);
        known.then_some(form)
    }

    /// Bytes in a row.
    fn width(self) -> Option<u64> {
        if let Some(size) = self.descriptor {
            return self.repeat.checked_mul(2 * size);
        }
        match self.letter {
            b'X' => Some(self.repeat.div_ceil(8)),
            b'L' | b'B' | b'A' => Some(self.repeat),
            b'I' => self.repeat.checked_mul(2),
            b'J' | b'E' => self.repeat.checked_mul(4),
            b'K' | b'D' | b'C' => self.repeat.checked_mul(8),
            _ => self.repeat.checked_mul(16),
        }
    }

    /// Numbers as a BITPIX; `None` for text, bits, logical and complex values.
    const fn bitpix(self) -> Option<i64> {
        match self.letter {
            b'B' => Some(8),
            b'I' => Some(16),
            b'J' => Some(32),
            b'K' => Some(64),
            b'E' => Some(-32),
            b'D' => Some(-64),
            _ => None,
        }
    }
}

/// Message about an unexpected or missing card.
pub(super) fn unexpected(header: &Header, keyword: &str, expected: &str) -> String {
    match header.get(keyword) {
        Some(value) => format!("{keyword} = {value}; expected {expected}"),
        None => format!("card {keyword} is missing; expected {expected}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Card;

    fn header(forms: &[&str]) -> Header {
        let mut header: Header = [Card::new("TFIELDS", forms.len() as i64)].into_iter().collect();
        for (number, form) in (1..).zip(forms) {
            header.push(Card::new(&format!("TFORM{number}"), *form));
            header.push(Card::new(&format!("TTYPE{number}"), format!("Name{number}")));
        }
        header
    }

    #[test]
    fn columns_lie_one_after_another() {
        let header = header(&["3A", "11X", "2D", "PB(9)", "1QE", "0J", "J"]);
        let table = TableLayout::read(&header, 3 + 2 + 16 + 8 + 16 + 4, 2, 100).unwrap();
        assert_eq!(column_number(&header, "NAME3"), Some(3));
        assert_eq!(column_number(&header, "NAME"), None);
        assert_eq!(table.cell(3, 1), Ok(CellPlace::Row { offset: 54, count: 2, bitpix: -64 }));
        assert_eq!(table.cell(5, 0), Ok(CellPlace::Heap { descriptor: 29, size: 8, bitpix: -32 }));
        assert!(table.cell(1, 0).unwrap_err().contains("type A"));
        assert_eq!(table.text_cell(1, 1), Ok((49, 3)));
        assert!(table.text_cell(3, 0).unwrap_err().contains("type D"));
        assert!(table.text_cell(8, 0).is_err() && table.text_cell(1, 2).is_err());
        assert!(table.cell(8, 0).is_err() && table.cell(0, 0).is_err() && table.cell(3, 2).is_err());
    }

    #[test]
    fn cards_that_do_not_fit_are_named() {
        for (forms, row_length, reason) in [
            (vec!["2E"], 4, "NAXIS1 = 4, but the columns by their TFORMs have 8 bytes"),
            (vec!["E", "2Z"], 4, "TFORM2 = '2Z'"),
            (vec!["99999999999999999999E"], 4, "TFORM1"),
            (vec!["9223372036854775807M"], 4, "TFORM1"),
            (vec!["2PB"], 16, "TFORM1"),
            (vec!["P"], 8, "TFORM1"),
            (vec!["0E"], 0, "NAXIS2 = 1 rows"),
        ] {
            let error = TableLayout::read(&header(&forms), row_length, 1, 0).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        for theap in [-1_i64, 7, 21, i64::MAX] {
            let mut header = header(&["D"]);
            header.push(Card::new("THEAP", theap));
            assert!(TableLayout::read(&header, 8, 1, 12).unwrap_err().contains("THEAP"), "{theap}");
        }
    }

    #[test]
    fn descriptors_stay_inside_the_heap() {
        let table = TableLayout::read(&header(&["PE"]), 8, 1, 20).unwrap();
        let place =
            |count: u32, at: u32| table.in_heap(&[count.to_be_bytes(), at.to_be_bytes()].concat(), -32);
        assert_eq!(place(5, 0), Ok((8, 5)));
        assert_eq!(place(0, 999), Ok((8, 0)));
        for (count, at) in [(6, 0), (5, 1), (1 << 31, 0), (1, u32::MAX), (u32::MAX, u32::MAX)] {
            assert!(place(count, at).unwrap_err().contains("which has 20 bytes"));
        }
        let wide = TableLayout::read(&header(&["QB"]), 16, 1, 20).unwrap();
        let descriptor = [(1_u64 << 62).to_be_bytes(), 0_u64.to_be_bytes()].concat();
        assert!(wide.in_heap(&descriptor, 8).is_err());
    }
}
