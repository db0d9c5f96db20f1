use super::*;
use crate::run_folder::arrays::{self, NamedArray, Values};
use tempfile::{TempDir, tempdir};

/// Images of 2 x 3, three classes.
const DATA: StackData<'_> = StackData { name: "made", image: [2, 3, 1], classes: 3 };

/// Arrays of such names and shapes, each of ascending numbers.
fn file(arrays: &[(&str, &[usize])]) -> (TempDir, std::path::PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("weights.npz");
    let numbers: Vec<f32> = (0..100).map(|place| place as f32 + 0.5).collect();
    let named: Vec<NamedArray<'_>> = arrays
        .iter()
        .map(|&(name, shape)| NamedArray { name, shape, values: Values::F32(&numbers[..shape.iter().product()]) })
        .collect();
    arrays::write(&path, &named).unwrap();
    (folder, path)
}

fn read(arrays: &[(&str, &[usize])], names: &str, said: Option<Orientation>) -> Result<DenseStack> {
    let (_folder, path) = file(arrays);
    let names: Vec<String> = names.split(',').map(String::from).collect();
    DenseStack::read(&path, &names, said, DATA)
}

fn axes(stack: &DenseStack) -> Vec<Orientation> {
    stack.layers.iter().map(|layer| layer.axes).collect()
}

fn refused(arrays: &[(&str, &[usize])], names: &str, code: u8, words: &[&str]) {
    let error = read(arrays, names, None).unwrap_err();
    assert_eq!(error.exit_code(), code, "{error}");
    words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word}: {error}"));
}

#[test]
fn the_chain_of_sizes_tells_how_weights_lie_whatever_they_are_called() {
    use Orientation::{InOut, OutIn};
    for (arrays, names, expected) in [
        (
            &[("a.weight", &[4, 6][..]), ("a.bias", &[4]), ("b.weight", &[3, 4]), ("b.bias", &[3])][..],
            "a,b",
            [OutIn, OutIn],
        ),
        (&[("a/kernel", &[6, 4]), ("a/bias", &[4]), ("b/kernel", &[4, 3]), ("b/bias", &[3])], "a,b", [InOut, InOut]),
        (&[("a.kernel", &[6, 4]), ("a.bias", &[1, 4]), ("b.kernel", &[4, 3]), ("b.bias", &[3])], "a,b", [InOut, InOut]),
        (&[("W1", &[6, 4]), ("b1", &[4]), ("W2", &[3, 4]), ("b2", &[3])], "W1,W2", [InOut, OutIn]),
        (&[("arr_0", &[6, 4]), ("arr_1", &[4]), ("arr_2", &[4, 3]), ("arr_3", &[3])], "arr_0,arr_2", [InOut, InOut]),
        (&[("x.weight", &[4, 6]), ("x.bias", &[4]), ("y", &[4, 3]), ("y.bias", &[3])], "x.weight,y", [OutIn, InOut]),
    ] {
        match read(arrays, names, None) {
            Ok(stack) => {
                assert_eq!(axes(&stack), expected, "{names}");
                assert!(stack.architecture.bias, "{names}");
                assert_eq!(stack.architecture.hidden, [4]);
                assert_eq!(stack.notices, Vec::<String>::new());
            }
            Err(error) => assert!(names.ends_with(",y"), "{error}"),
        }
    }
}

#[test]
fn numbers_are_turned_and_turned_back() {
    let arrays: &[(&str, &[usize])] =
        &[("a.weight", &[4, 6]), ("a.bias", &[4]), ("b.weight", &[3, 4]), ("b.bias", &[3]), ("step", &[1])];
    let stack = read(arrays, "a,b", None).unwrap();
    let layout = ParameterLayout::new(&stack.architecture);
    // Row 1, column 2 of the file's [out, in] is the weight of unit 1 for input 2.
    assert_eq!(stack.parameters[layout.dense_weight(0).range()][2 * 4 + 1], 8.5);
    assert_eq!(stack.parameters[layout.dense_bias(0).range()], [0.5, 1.5, 2.5, 3.5]);
    assert_eq!(stack.with_parameters(&stack.parameters), stack.state);
    assert!(stack.notices[0].contains("step"), "{:?}", stack.notices);
    let layer = &stack.layers[1];
    let numbers: Vec<usize> = (0..12).collect();
    assert_eq!(layer.ours(&layer.theirs(&numbers)), numbers);
    assert_eq!(layer.theirs(&numbers)[..4], [0, 3, 6, 9]);
}

#[test]
fn square_layers_are_read_as_the_others_or_by_their_name_or_as_is_said() {
    use Orientation::{InOut, OutIn};
    let with = |first: &'static str, second: &'static str, shape: &'static [usize]| {
        vec![(first, shape), (second, &[4, 4][..]), ("c", &[3, 4][..])]
    };
    let read = |arrays: &[(&'static str, &'static [usize])], names, said| read(arrays, names, said);
    let known = read(&with("a", "b", &[4, 6]), "a,b,c", None).unwrap();
    assert_eq!(axes(&known), [OutIn; 3]);
    assert!(known.notices[0].contains("as the other layers"), "{:?}", known.notices);
    // The others disagree, so the name decides.
    let mixed = with("a", "b/kernel", &[6, 4]);
    assert_eq!(axes(&read(&mixed, "a,b,c", None).unwrap()), [InOut, InOut, OutIn]);
    let mixed = with("a", "b", &[6, 4]);
    let error = read(&mixed, "a,b,c", None).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("--dense-axes"), "{error}");
    let error = read(&mixed, "a,b,c", Some(OutIn)).unwrap_err();
    assert!(error.to_string().contains("leave --dense-axes out"), "{error}");
    let alone: &[(&str, &[usize])] = &[("a", &[6, 6]), ("b", &[6, 3])];
    assert_eq!(axes(&read(alone, "a,b", Some(InOut)).unwrap()), [InOut; 2]);
}

#[test]
fn what_is_no_such_stack_gets_a_sentence() {
    let good: &[(&str, &[usize])] = &[("a.weight", &[4, 6]), ("b.weight", &[5, 4]), ("c.weight", &[3, 5])];
    assert!(!read(good, "a,b,c", None).unwrap().architecture.bias);
    refused(good, "b,a,c", 5, &["fit in the order --dense a,b,c"]);
    refused(good, "a,c", 5, &["c has weights of [3, 5]", "4 units of a"]);
    refused(good, "a,b", 5, &["5 units", "3 classes", "name all layers"]);
    refused(good, "a,b,d", 2, &["no tensor d"]);
    refused(good, "a,a,c", 2, &["twice"]);
    refused(good, "a,,c", 2, &["empty name"]);
    refused(&[("a.weight", &[4, 7]), ("b.weight", &[3, 4])], "a,b", 5, &["6 numbers (2 x 3 x 1)", "[4, 7]", "--side"]);
    refused(&[("a.weight", &[4, 6]), ("b.weight", &[10, 4])], "a,b", 5, &["10 units", "3 classes"]);
    refused(&[("a.weight", &[4, 1, 3, 2]), ("b.weight", &[3, 4])], "a,b", 5, &["two axes", "convolutions"]);
    let one_bias: &[(&str, &[usize])] = &[("a.weight", &[4, 6]), ("a.bias", &[4]), ("b.weight", &[3, 4])];
    refused(one_bias, "a,b", 5, &["a has biases (a.bias)", "none are found of b", "b.bias"]);
    let long: &[(&str, &[usize])] = &[("a.weight", &[4, 6]), ("a.bias", &[6]), ("b.weight", &[3, 4]), ("b.bias", &[3])];
    refused(long, "a,b", 5, &["a.bias", "[6]", "4 units"]);
    refused(&[("a", &[4, 6]), ("a.weight", &[4, 6]), ("b", &[3, 4])], "a,b", 2, &["a and a.weight"]);
}
