//! Walks a parsed file through every accessor and checks, by other arithmetic than the parser's, what it promises.
//!
//! A file that is accepted after it was damaged is no fault as long as every promise holds: no accessor fails or
//! panics, every row stays inside int32, no two live tensors share a byte. A panic here is the finding.

use trishift_format::bound::Accumulators;
use trishift_format::checkpoint::{Checkpoint, StateType};
use trishift_format::{
    Conv2d, DataType, Embedding, Int8Record, Int8Row, Layout, Linear, MatrixRecord, Model, Operator, OperatorKind, Row,
    Tensor, TensorClass, TernaryMatrix, Window, trits,
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
        let found = weights(model, &operator);
        assert_eq!(model.macs_of(&operator), found);
        macs += found;
        images(model, &operator);
        if let Operator::Softmax(op) = operator {
            shares(&model.tensor(op.output));
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

/// Every weight of an operator; returns its multiply-accumulate operations.
fn weights(model: &Model<'_>, operator: &Operator) -> u64 {
    let (ternary, int8) = match operator {
        Operator::Linear(op) => (Some(op.weights), None),
        Operator::Embedding(op) => (Some(op.weights), None),
        Operator::Conv2d(op) | Operator::DepthwiseConv2d(op) => (Some(op.weights), None),
        Operator::Int8Linear(op) => (None, Some(op.weights)),
        Operator::Int8Conv2d(op) | Operator::Int8DepthwiseConv2d(op) => (None, Some(op.weights)),
        _ => (None, None),
    };
    assert_eq!((operator.weights(), operator.int8_weights()), (ternary.as_ref(), int8.as_ref()));
    match *operator {
        Operator::Linear(op) => linear(model, &op),
        Operator::Embedding(op) => {
            embedding(model, &op);
            0
        }
        Operator::Int8Linear(op) => {
            let products = int8_rows(model, operator, &op.weights, op.relu);
            assert_eq!(
                (model.tensor(op.input).len(), model.tensor(op.output).len()),
                (op.weights.columns as usize, op.weights.rows as usize)
            );
            products
        }
        Operator::Conv2d(op) | Operator::DepthwiseConv2d(op) => {
            let products = ternary_rows(model, operator, &op.weights, op.relu);
            slides(model, operator, &op, [op.weights.rows, op.weights.columns]) * products
        }
        Operator::Int8Conv2d(op) | Operator::Int8DepthwiseConv2d(op) => {
            let products = int8_rows(model, operator, &op.weights, op.relu);
            slides(model, operator, &op, [op.weights.rows, op.weights.columns]) * products
        }
        _ => {
            assert_eq!(operator.bias(), None);
            0
        }
    }
}

/// A convolution's tensors and matrix go together; returns how many windows there are.
fn slides<W>(model: &Model<'_>, operator: &Operator, op: &Conv2d<W>, [rows, columns]: [u32; 2]) -> u64 {
    let (input, output) = (model.tensor(op.input), model.tensor(op.output));
    windows(&op.window, &input, &output);
    let depthwise = matches!(operator, Operator::DepthwiseConv2d(_) | Operator::Int8DepthwiseConv2d(_));
    let channels = if depthwise { 1 } else { u128::from(input.shape[2]) };
    let area = u128::from(op.window.kernel[0]) * u128::from(op.window.kernel[1]);
    assert_eq!((u128::from(columns), rows), (area * channels, output.shape[2]));
    assert!(!depthwise || input.shape[2] == output.shape[2]);
    u64::from(output.shape[0]) * u64::from(output.shape[1])
}

/// The last window ends inside the zeros around the input, one more would not; each has an element of the input under it.
fn windows(window: &Window, input: &Tensor, output: &Tensor) {
    for axis in 0..2 {
        let number = |byte: u8| i128::from(byte);
        let (kernel, stride) = (number(window.kernel[axis]), number(window.stride[axis]));
        let (before, behind) = (number(window.padding[axis]), number(window.padding[axis + 2]));
        let (length, count) = (i128::from(input.shape[axis]), i128::from(output.shape[axis]));
        let start = |window: i128| window * stride - before;
        assert!(kernel > 0 && stride > 0);
        assert!(start(count - 1) + kernel <= length + behind && start(count) + kernel > length + behind);
        assert!(start(0) + kernel > 0 && start(count - 1) < length);
    }
}

/// Shapes of the operators that move or pool what lies in an image.
fn images(model: &Model<'_>, operator: &Operator) {
    let [left, right] = operator.inputs().map(|tensor| model.tensor(tensor));
    let output = model.tensor(operator.output());
    let sizes = |tensor: &Tensor| tensor.shape.map(u64::from);
    let ([height, width, channels], to) = (sizes(&left), sizes(&output));
    match operator {
        Operator::MaxPool(op) | Operator::AvgPool(op) => {
            windows(&op.window, &left, &output);
            assert_eq!(channels, to[2]);
        }
        Operator::Concat(_) => {
            assert_eq!([height, width, channels + u64::from(right.shape[2])], to);
            assert_eq!(left.shape[..2], right.shape[..2]);
        }
        Operator::Pad(op) => {
            let [above, before, below, behind] = op.padding.map(u64::from);
            assert_eq!([above + height + below, before + width + behind, channels], to);
        }
        Operator::Reshape(_) => assert_eq!((left.len(), left.bytes()), (output.len(), output.bytes())),
        Operator::Slide(op) => {
            assert_eq!((output.class, left.data_type), (TensorClass::Persistent, output.data_type));
            assert!(op.input != op.state && channels == to[2]);
            assert!(width == to[1] || [height, to[0]] == [1, 1]);
        }
        _ => return,
    }
    if !matches!(operator, Operator::AvgPool(_)) {
        assert_eq!((left.exponent, right.exponent), (output.exponent, output.exponent));
    }
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
    for (other, other_tensor) in model.tensors().enumerate().take(index).filter(|(_, other)| in_arena(other)) {
        let (a, b) = (lifetime(tensor), lifetime(&other_tensor));
        let same_time = a.start().max(b.start()) <= a.end().min(b.end());
        let (a, b) = (range(tensor), range(&other_tensor));
        let apart = !same_time || a.start.max(b.start) >= a.end.min(b.end);
        let in_place = || takes_the_place(model, index, other) || takes_the_place(model, other, index);
        assert!(apart || in_place(), "tensor {index} shares bytes with a live one");
    }
}

/// True where an operator that has read an element before it writes it writes this output over this input, and nothing
/// reads the input, or keeps it, later.
fn takes_the_place(model: &Model<'_>, output: usize, input: usize) -> bool {
    let [to, from] = [output, input].map(|number| model.tensor(number as u16));
    let reads = |operator: &Operator| operator.inputs().contains(&(input as u16));
    let last = model.operators().enumerate().filter(|(_, operator)| reads(operator)).last();
    let Some((index, operator)) = last.filter(|(_, operator)| usize::from(operator.output()) == output) else {
        return false;
    };
    let allowed = match operator {
        Operator::Relu(_) | Operator::Reshape(_) => true,
        Operator::Add(op) => op.left != op.right,
        Operator::DepthwiseConv2d(_) => from.shape == to.shape,
        _ => false,
    };
    let life = (usize::from(from.last), usize::from(to.first)) == (index, index);
    let place = (from.class, from.offset, from.bytes()) == (to.class, to.offset, to.bytes());
    allowed && operator.works_in_place() && life && place && to.class == TensorClass::Arena
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
    assert_eq!(model.bias(op).map(|bias| bias.iter().len()), op.bias.map(|_| op.weights.rows as usize));
    assert_eq!(model.accumulators(op), model.accumulators_between(op.input, op.output));
    ternary_rows(model, &Operator::Linear(*op), &op.weights, op.relu)
}

/// Every row of an operator's ternary weights stays inside int32; returns how many there are.
fn ternary_rows(model: &Model<'_>, operator: &Operator, record: &MatrixRecord, relu: bool) -> u64 {
    let matrix = matrix(model, record);
    let biases = biases(model, operator, record.rows, relu);
    let accumulators = model.accumulators_between(operator.inputs()[0], operator.output());
    for (index, (row, bias)) in matrix.iter().zip(biases).enumerate() {
        let required = required(&row, bias, accumulators);
        assert!(required <= i128::from(i32::MAX), "row {index} needs {required}");
    }
    (matrix.rows() * matrix.columns()) as u64
}

/// The same of int8 weights.
fn int8_rows(model: &Model<'_>, operator: &Operator, record: &Int8Record, relu: bool) -> u64 {
    let matrix = model.int8_matrix(record);
    assert_eq!((matrix.rows(), matrix.columns()), (record.rows as usize, record.columns as usize));
    assert_eq!(matrix.bytes(), matrix.rows() * (matrix.columns() + 1));
    assert!(matrix.rows() * matrix.columns() <= model.weight_bytes());
    let biases = biases(model, operator, record.rows, relu);
    let accumulators = model.accumulators_between(operator.inputs()[0], operator.output());
    let mut smallest = i32::MAX;
    assert_eq!(matrix.iter().len(), matrix.rows());
    for (index, (row, bias)) in matrix.iter().zip(biases).enumerate() {
        let same = matrix.row(index).expect("every row can be asked for by its number");
        assert_eq!((same.values.as_ptr(), same.exponent), (row.values.as_ptr(), row.exponent));
        assert!(row.values.len() == matrix.columns() && (-128..=127).contains(&row.exponent));
        smallest = smallest.min(row.exponent);
        let required = required_int8(&row, bias, accumulators);
        assert!(required <= i128::from(i32::MAX), "row {index} needs {required}");
    }
    assert_eq!(matrix.smallest_exponent(), smallest);
    assert!(matrix.row(matrix.rows()).is_none() && matrix.row(usize::MAX).is_none());
    (matrix.rows() * matrix.columns()) as u64
}

/// A bias for every row of an operator with weights, whose int32 outputs have no ReLU.
fn biases(model: &Model<'_>, operator: &Operator, rows: u32, relu: bool) -> Vec<i32> {
    assert!(!relu || model.tensor(operator.output()).data_type == DataType::I8);
    assert_eq!(model.tensor(operator.inputs()[0]).data_type, DataType::I8);
    match model.bias_at(operator.bias(), rows) {
        Some(bias) => bias.iter().collect(),
        None => {
            assert_eq!(operator.bias(), None);
            vec![0; rows as usize]
        }
    }
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

/// |b| + 128·Σ|w|·2^(E − e) + 2^(r−1), likewise.
pub(crate) fn required_int8(row: &Int8Row<'_>, bias: i32, accumulators: Accumulators) -> i128 {
    let (shift, rounding) = match accumulators {
        Accumulators::Layer { exponent } => (row.exponent - exponent, 0),
        Accumulators::PerRow { scale } => match scale - row.exponent {
            shift @ 1..=31 => (0, 1i128 << (shift - 1)),
            _ => (0, 0),
        },
    };
    assert!(shift >= 0, "the row's exponent lies below the accumulator's unit");
    let sum: i128 = row.values.iter().map(|weight| i128::from(*weight as i8).abs()).sum();
    i128::from(bias.unsigned_abs()) + rounding + ((128 * sum) << shift.min(80))
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
