//! Walks a parsed file through every accessor and checks, by other arithmetic than the parser's, what it promises.
//!
//! A file that is accepted after it was damaged is no fault as long as every promise holds: no accessor fails or
//! panics, every row stays inside int32, no two live tensors share a byte. A panic here is the finding.

use trishift_format::bound::Accumulators;
use trishift_format::checkpoint::{Checkpoint, StateType};
use trishift_format::{
    DataType, Embedding, Layout, Linear, MatrixRecord, Model, Operator, OperatorKind, Row, Tensor, TensorClass,
    TernaryMatrix, trits,
};

/// Every accessor of a model.
pub(crate) fn model(model: &Model<'_>) {
    assert!(model.file_bytes() > model.weight_bytes());
    let tensors = model.tensors();
    assert_eq!(tensors.len(), model.tensors().count());
    for (index, tensor) in tensors.enumerate() {
        assert_eq!(tensor, model.tensor(index as u16));
        assert!(!tensor.is_empty() && tensor.bytes() == tensor.len() * tensor.data_type.bytes());
        place(model, index, &tensor);
    }
    assert_eq!((model.input().class, model.output().class), (TensorClass::Input, TensorClass::Output));
    let mut macs = 0;
    for operator in model.operators() {
        assert!(OperatorKind::ALL.contains(&operator.kind()));
        let [left, right] = operator.inputs().map(|tensor| model.tensor(tensor));
        assert!(!left.is_empty() && !right.is_empty() && !model.tensor(operator.output()).is_empty());
        assert_eq!(operator.weights().is_some(), matches!(operator, Operator::Linear(_) | Operator::Embedding(_)));
        match operator {
            Operator::Linear(op) => macs += linear(model, &op),
            Operator::Embedding(op) => embedding(model, &op),
            Operator::Softmax(op) => shares(&model.tensor(op.output)),
            _ => {}
        }
    }
    assert_eq!(model.macs(), macs);
    let scales = model.input_scales();
    assert!(scales.len() == 1 || scales.len() == model.input().len());
    for scale in scales {
        assert!(scale.is_valid());
        for value in [i32::MIN, -1, 0, 1, 255, i32::MAX] {
            scale.quantize_i32(value);
        }
    }
    let labels = model.labels().count();
    assert!(labels == 0 || labels == model.output().len());
    for (key, _) in model.properties().take(16) {
        assert!(model.properties().get(key).is_some());
    }
    std::hint::black_box(model.name().chars().count());
}

/// The tensor lies inside the arena, apart from every earlier one that lives at the same time.
fn place(model: &Model<'_>, index: usize, tensor: &Tensor) {
    let in_arena = |tensor: &Tensor| matches!(tensor.class, TensorClass::Arena | TensorClass::Persistent);
    if !in_arena(tensor) {
        return;
    }
    let range = |tensor: &Tensor| u128::from(tensor.offset)..u128::from(tensor.offset) + tensor.bytes() as u128;
    assert!(tensor.offset.is_multiple_of(Tensor::ALIGNMENT));
    assert!(range(tensor).end <= u128::from(model.arena_bytes()));
    let lifetime = |tensor: &Tensor| match tensor.class {
        TensorClass::Persistent => 0..=u16::MAX,
        _ => tensor.first..=tensor.last,
    };
    for other in model.tensors().take(index).filter(in_arena) {
        let (a, b) = (lifetime(tensor), lifetime(&other));
        let same_time = a.start().max(b.start()) <= a.end().min(b.end());
        let (a, b) = (range(tensor), range(&other));
        assert!(!same_time || a.start.max(b.start) >= a.end.min(b.end), "tensor {index} shares bytes with a live one");
    }
}

/// Every row and group of a matrix.
fn matrix<'a>(model: &Model<'a>, record: &MatrixRecord) -> TernaryMatrix<'a> {
    let matrix = model.matrix(record);
    assert_eq!((matrix.rows(), matrix.columns()), (record.rows as usize, record.columns as usize));
    assert_eq!(matrix.iter().len(), matrix.rows());
    let trit_bytes = matrix.rows() * matrix.group().row_bytes(matrix.columns());
    let groups = matrix.group().count(matrix.columns());
    match matrix.layout() {
        Layout::Rows => {
            assert_eq!((matrix.trit_bytes().len(), matrix.blocks().count()), (trit_bytes, 0));
        }
        Layout::Groups => {
            assert_eq!(matrix.trit_bytes().len(), trit_bytes + matrix.rows() * groups);
            blocks(&matrix);
        }
    }
    // Each part lies in the section; a damaged file may have trits and exponents in the same bytes.
    assert!(matrix.trit_bytes().len() <= model.weight_bytes() && matrix.bytes() <= 2 * model.weight_bytes());
    let exponents = matrix.bases().len() + matrix.exponent_bytes().len();
    assert_eq!(matrix.bytes(), matrix.trit_bytes().len() + exponents);
    assert_eq!(Some(exponents), matrix.encoding().bytes(matrix.rows(), groups));
    assert_eq!(matrix.row_bytes() * matrix.rows(), trit_bytes);
    assert_eq!(matrix.exponent_bytes_of_row() * matrix.rows(), matrix.exponent_bytes().len());
    let mut smallest = i32::MAX;
    for (index, row) in matrix.iter().enumerate() {
        contents(&matrix, &row);
        let same = matrix.row(index).expect("every row can be asked for by its number");
        assert!(same.groups().map(|group| group.bytes.as_ptr()).eq(row.groups().map(|group| group.bytes.as_ptr())));
        assert!(same.exponents().eq(row.exponents()));
        smallest = smallest.min(row.smallest_exponent());
    }
    assert_eq!(matrix.smallest_exponent(), smallest);
    assert!(matrix.smallest_exponents().eq(matrix.iter().map(|row| row.smallest_exponent())));
    assert!(matrix.row(matrix.rows()).is_none() && matrix.row(usize::MAX).is_none());
    matrix
}

/// The records of all groups are those that the rows name.
fn blocks(matrix: &TernaryMatrix<'_>) {
    let mut columns = 0;
    for (group, block) in matrix.blocks().enumerate() {
        let bytes = 1 + block.columns.div_ceil(trits::PER_BYTE);
        assert_eq!(block.records.len(), matrix.rows() * bytes);
        for (row, record) in matrix.iter().zip(block.records.chunks(bytes)) {
            let found = row.groups().nth(group).expect("the row has this group");
            assert_eq!((found.len, found.bytes.as_ptr()), (block.columns, record[1..].as_ptr()));
            assert_eq!(found.exponent, row.smallest_exponent() + i32::from(record[0]));
        }
        columns += block.columns;
    }
    assert_eq!(columns, matrix.columns());
}

/// Every weight is a whole number of the output's units and fits int32.
fn embedding(model: &Model<'_>, op: &Embedding) {
    let matrix = matrix(model, &op.weights);
    let (input, output) = (model.tensor(op.input), model.tensor(op.output));
    assert_eq!(output.len() as u128, input.len() as u128 * matrix.columns() as u128);
    if output.data_type == DataType::I32 {
        for group in matrix.iter().flat_map(|row| row.groups()) {
            let shift = group.exponent - i32::from(output.exponent);
            assert!(shift >= 0 && (shift <= 30 || group.bytes.iter().all(|byte| *byte == trits::ZERO_BYTE)));
        }
    }
}

/// The shares of a softmax are int8 of one exponent, or int32 in which 1 fits.
fn shares(output: &Tensor) {
    match output.data_type {
        DataType::I8 => assert_eq!(output.exponent, -7),
        DataType::I32 => assert!(output.exponent <= 0 && 1i64 << -output.exponent <= i64::from(i32::MAX)),
    }
}

/// Every row and group of a linear operator; returns its multiply-accumulate operations.
fn linear(model: &Model<'_>, op: &Linear) -> u64 {
    let matrix = matrix(model, &op.weights);
    let mut biases = model.bias(op).map(|bias| bias.iter());
    assert_eq!(biases.is_some(), op.bias.is_some());
    for (index, row) in matrix.iter().enumerate() {
        let bias = biases.as_mut().map_or(0, |biases| biases.next().expect("a bias for every row"));
        let required = required(&row, bias, model.accumulators(op));
        assert!(required <= i128::from(i32::MAX), "row {index} needs {required}");
    }
    if model.tensor(op.output).data_type == DataType::I32 {
        assert!(!op.relu);
    }
    (matrix.rows() * matrix.columns()) as u64
}

/// Trits, padding and exponents of one row.
fn contents(matrix: &TernaryMatrix<'_>, row: &Row<'_>) {
    let mut all = vec![7; matrix.columns()];
    row.unpack(&mut all);
    assert!(all.iter().all(|trit| (-1..=1).contains(trit)));
    assert_eq!(row.exponents().len(), matrix.group().count(matrix.columns()));
    let smallest = row.exponents().min().expect("a row has at least one group");
    assert_eq!(smallest, row.smallest_exponent());
    assert!(
        row.exponents().max().expect("a row has at least one group") - smallest <= matrix.encoding().window() as i32
    );
    let mut column = 0;
    for group in row.groups() {
        let mut unpacked = vec![7; group.bytes.len() * trits::PER_BYTE];
        trits::unpack(group.bytes, &mut unpacked);
        assert_eq!(unpacked[..group.len], all[column..column + group.len]);
        assert!(unpacked[group.len..].iter().all(|trit| *trit == 0));
        assert!(group.exponent == smallest || unpacked.iter().any(|trit| *trit != 0));
        assert!((-128..=127).contains(&group.exponent));
        column += group.len;
    }
    assert_eq!(column, matrix.columns());
}

/// |b| + Σ_g 128·nnz_g·2^(E_g − e) + 2^(r−1) in i128, where no file can make it overflow.
pub(crate) fn required(row: &Row<'_>, bias: i32, accumulators: Accumulators) -> i128 {
    let (unit, rounding) = match accumulators {
        Accumulators::Layer { exponent } => (exponent, 0),
        Accumulators::PerRow { scale } => {
            let shift = scale - row.smallest_exponent();
            (row.smallest_exponent(), if (1..=31).contains(&shift) { 1i128 << (shift - 1) } else { 0 })
        }
    };
    let terms = row.groups().map(|group| {
        let nonzero: i128 = group.bytes.iter().map(|byte| i128::from(trits::NONZERO[usize::from(*byte)])).sum();
        let shift = group.exponent - unit;
        assert!(shift >= 0, "a group's exponent lies below the accumulator's unit");
        // nnz ≤ 96, so 2^80 keeps the sum of 2^32 groups inside i128 and is far beyond int32 already.
        (128 * nonzero) << shift.min(80)
    });
    i128::from(bias.unsigned_abs()) + rounding + terms.sum::<i128>()
}

/// Every accessor of a checkpoint.
pub(crate) fn checkpoint(checkpoint: &Checkpoint<'_>) {
    std::hint::black_box(checkpoint.config().chars().count());
    for (index, tensor) in checkpoint.tensors().enumerate() {
        let count = tensor.rows as u64 * tensor.columns as u64;
        assert_eq!(tensor.state_type.bytes(count), Some(tensor.bytes.len() as u64));
        assert!(!tensor.name.is_empty());
        // Each look-up runs over the tensors before: a few are enough.
        if index < 16 {
            assert!(checkpoint.tensor(tensor.name).is_some());
        }
        if tensor.state_type == StateType::Trits {
            let mut unpacked = vec![7; count as usize];
            trits::unpack(tensor.bytes, &mut unpacked);
            assert!(unpacked.iter().all(|trit| (-1..=1).contains(trit)));
        }
    }
}
