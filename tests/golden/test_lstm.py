"""Our LSTM against torch's over packed sequences, and against the equations written out: values and gradients."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstmcli.models.lstm import LSTM, State, reverse, step

INPUTS, HIDDEN, TIME = 3, 5, 9
LENGTHS = torch.tensor([9, 1, 4, 7])
SHAPES = [(1, False), (1, True), (2, False), (3, True)]
CLOSE = {"rtol": 0.0, "atol": 1e-9}


def sequences() -> Tensor:
    return torch.randn(len(LENGTHS), TIME, INPUTS, dtype=torch.float64)


def start(layers: int, directions: int) -> State:
    shape = (layers * directions, len(LENGTHS), HIDDEN)
    return torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("layers", "bidirectional"), SHAPES)
def test_equals_torch_over_packed_sequences_in_values_and_gradients(
    layers: int, bidirectional: bool, with_state: bool
) -> None:
    torch.manual_seed(0)
    actual = LSTM(INPUTS, HIDDEN, layers=layers, bidirectional=bidirectional).double()
    reference = nn.LSTM(INPUTS, HIDDEN, layers, batch_first=True, bidirectional=bidirectional).double()
    for parameter in actual.parameters():  # biases are zero at the start: a fault in their use would not show
        nn.init.normal_(parameter)
    reference.load_state_dict(actual.state_dict())  # same names, same gate order
    state = start(layers, 1 + bidirectional) if with_state else None
    x = sequences()

    our_hidden, our_state = actual(x, LENGTHS, state, carry=True)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    their_packed, their_state = reference(packed, state)
    their_hidden, _ = pad_packed_sequence(their_packed, batch_first=True, total_length=TIME)

    torch.testing.assert_close(our_hidden, their_hidden, **CLOSE)
    assert our_state is not None
    for value, yours in zip(our_state, their_state, strict=True):
        torch.testing.assert_close(value, yours, **CLOSE)

    (our_hidden.pow(2).sum() + our_state[1].pow(3).sum()).backward()
    (their_hidden.pow(2).sum() + their_state[1].pow(3).sum()).backward()
    for (name, value), (other, yours) in zip(actual.named_parameters(), reference.named_parameters(), strict=True):
        assert name == other
        torch.testing.assert_close(value.grad, yours.grad, **CLOSE, msg=name)


def test_equals_the_equations_written_out() -> None:
    torch.manual_seed(1)
    lstm = LSTM(INPUTS, HIDDEN).double()
    for parameter in lstm.parameters():
        nn.init.normal_(parameter)
    x = sequences()
    state = (torch.zeros(len(x), HIDDEN).double(), torch.zeros(len(x), HIDDEN).double())
    expected = []
    for time in range(TIME):
        state = step(x[:, time], state, lstm.weights(0, ""))
        expected.append(state[0])
    hidden, _ = lstm(x, torch.full((len(x),), TIME))
    torch.testing.assert_close(hidden, torch.stack(expected, dim=1), **CLOSE)


def test_one_cell_by_pencil_and_paper() -> None:
    # One input 1, no recurrence: i = f = o = sigmoid(0) = 1/2, g = tanh(1); c = c0/2 + tanh(1)/2; h = tanh(c)/2.
    w_ih = torch.tensor([[0.0], [0.0], [1.0], [0.0]])
    hidden, cell = step(
        torch.ones(1, 1),
        (torch.zeros(1, 1), torch.ones(1, 1)),
        [w_ih, torch.zeros(4, 1), torch.zeros(4), torch.zeros(4)],
    )
    expected = (1 + torch.tanh(torch.tensor(1.0))) / 2
    torch.testing.assert_close(cell, expected.view(1, 1))
    torch.testing.assert_close(hidden, expected.tanh().view(1, 1) / 2)


def test_an_open_forget_gate_carries_the_error_back_undiminished() -> None:
    # f = 1, i = 0 (biases at ±50): dc_T / dc_0 = 1 after a hundred steps; with f = 1/2 it is 2^-100.
    for forget, expected in ((50.0, 1.0), (0.0, 0.5**100)):
        bias = torch.tensor([-50.0, forget, 0.0, 0.0], dtype=torch.float64)
        zeros = torch.zeros(4, 1, dtype=torch.float64)
        cell = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
        state = (torch.zeros(1, 1, dtype=torch.float64), cell)
        for _ in range(100):
            state = step(torch.ones(1, 1, dtype=torch.float64), state, [zeros, zeros, bias, torch.zeros_like(bias)])
        (gradient,) = torch.autograd.grad(state[1].sum(), cell)
        assert gradient.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("cuts", [[9], [4, 9], [1, 2, 8, 9]])
def test_a_stream_cut_in_pieces_equals_one_pass(cuts: list[int]) -> None:
    torch.manual_seed(2)
    lstm = LSTM(INPUTS, HIDDEN, layers=2).double()
    x = sequences()
    whole, _ = lstm(x, torch.full((len(x),), TIME))
    pieces, state, begin = [], None, 0
    for end in cuts:
        piece, state = lstm(x[:, begin:end], torch.full((len(x),), end - begin), state, carry=True)
        pieces.append(piece)
        begin = end
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, **CLOSE)


def test_differentiates_twice() -> None:
    torch.manual_seed(3)
    lstm = LSTM(2, 2, bidirectional=True).double()
    lengths = torch.tensor([3, 2])

    def hidden(x: Tensor) -> Tensor:
        return lstm(x, lengths)[0]

    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(hidden, (x,))
    assert torch.autograd.gradgradcheck(hidden, (x,))


def test_reverse_turns_each_row_within_its_own_length() -> None:
    rows = torch.arange(8.0).view(2, 4, 1)
    turned = reverse(rows, torch.tensor([4, 2]))
    assert turned[:, :, 0].tolist() == [[3, 2, 1, 0], [5, 4, 6, 7]]


def test_gradients_of_reverse_are_those_of_a_permutation_twice_and_over_tasks() -> None:
    def turned(x: Tensor) -> Tensor:
        return reverse(x, torch.tensor([4, 2]))

    x = torch.randn(2, 4, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(turned, (x,))
    assert torch.autograd.gradgradcheck(lambda x: turned(x) ** 2, (x,))
    tasks = torch.randn(3, 2, 4, 1)
    by_task = torch.stack([torch.func.grad(lambda x: (turned(x) ** 3).sum())(task) for task in tasks])
    at_once = torch.func.vmap(torch.func.grad(lambda x: (turned(x) ** 3).sum()))(tasks)
    torch.testing.assert_close(at_once, by_task)
    torch.testing.assert_close(at_once, 3 * tasks**2)


def test_dropout_lies_between_layers_and_weight_drop_on_the_recurrent_weights_alone() -> None:
    torch.manual_seed(4)
    x, lengths = sequences().float(), LENGTHS
    one_layer = LSTM(INPUTS, HIDDEN, dropout=0.9)
    torch.testing.assert_close(one_layer(x, lengths)[0], one_layer.eval()(x, lengths)[0])  # nothing to lie between
    dropped = LSTM(INPUTS, HIDDEN, weight_drop=0.999999)  # all of the recurrence is gone: time steps are alone
    forward, _ = dropped(x, lengths)
    alone, _ = dropped(x[:, 2:3], torch.ones_like(lengths), None)
    state = step(x[:, 2], (torch.zeros(4, HIDDEN), torch.zeros(4, HIDDEN)), dropped.weights(0, ""))
    torch.testing.assert_close(alone[:, 0], state[0])
    torch.testing.assert_close(
        forward[:1, :1], dropped.eval()(x, lengths)[0][:1, :1]
    )  # the first step sees no recurrence
    assert not torch.allclose(forward, dropped(x, lengths)[0])


def test_the_forget_bias_opens_the_forget_gate_alone() -> None:
    lstm = LSTM(INPUTS, HIDDEN, bidirectional=True, forget_bias=1.5)
    for name, parameter in lstm.named_parameters():
        if "bias" in name:
            expected = torch.zeros(4 * HIDDEN)
            if name.startswith("bias_ih"):
                expected[HIDDEN : 2 * HIDDEN] = 1.5
            torch.testing.assert_close(parameter.data, expected)
