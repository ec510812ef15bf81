"""Dense layers, each with a seed of its own, over any number of leading axes."""

from __future__ import annotations

from typing import List, Sequence

import tensorflow as tf
import tf_keras as keras

from pipeline.layers.activations import Activation, ActivationName
from pipeline.layers.dropout import Dropout
from pipeline.seeds import derive


class SplitDense(keras.layers.Layer):
    """act(sum_p x_p W_p + b): a dense layer over the concatenation of parts that is never concatenated.

    Parts [..., D_p] may have different leading axes if these broadcast: for N candidates, the user's part is [B, 1, D]
    and is multiplied once, not N times.
    """

    def __init__(self, units: int, parts: int, *, seed: int, activation: str = "linear", bias: bool = True) -> None:
        super().__init__(name="split_dense")
        self._parts, self._units, self._seed = parts, units, seed
        self._activation = keras.activations.get(activation)
        self._has_bias = bias

    def build(self, shapes: Sequence[tf.TensorShape]) -> None:
        if len(shapes) != self._parts:
            raise ValueError(f"SplitDense was made for {self._parts} parts. Received: {len(shapes)}")
        fan_in = sum(int(shape[-1]) for shape in shapes)
        # Glorot over the whole input, as one dense layer would have it: each part alone would start too large.
        limit = (6.0 / (fan_in + self._units)) ** 0.5
        self._kernels = [
            self.add_weight(
                name=f"kernel_{index}",
                shape=(int(shape[-1]), self._units),
                initializer=keras.initializers.RandomUniform(-limit, limit, seed=derive(self._seed, "kernel", index)),
            )
            for index, shape in enumerate(shapes)
        ]
        self._bias = self.add_weight(name="bias", shape=(self._units,), initializer="zeros") if self._has_bias else None
        super().build(shapes)

    def call(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """parts: tensors [..., D_p] in the order they were built with. Returns [..., units]."""
        return self.combine([self.product(part, index) for index, part in enumerate(parts)])

    def product(self, x: tf.Tensor, index: int, first_row: int = 0) -> tf.Tensor:
        """What a part adds before bias and activation: x [..., D] times D rows of its kernel, from `first_row` on."""
        kernel, rows = self._kernels[index], int(x.shape[-1])
        if rows != kernel.shape[0]:
            kernel = kernel[first_row : first_row + rows]
        kernel = tf.cast(kernel, x.dtype)  # called from outside, Keras does not cast it where the precision is mixed
        return tf.matmul(x, kernel) if x.shape.rank == 2 else tf.tensordot(x, kernel, 1)

    def kernel(self, index: int) -> tf.Tensor:
        """Of a part, [D_p, units]."""
        return tf.convert_to_tensor(self._kernels[index])

    def combine(self, products: Sequence[tf.Tensor]) -> tf.Tensor:
        """What all parts add, [..., units] with leading axes that broadcast, to the layer's output."""
        first, *others = products
        # To the smallest product, usually the user's: the sum is then as large as the candidates' only once.
        total = first if self._bias is None else first + tf.cast(self._bias, first.dtype)
        for product in others:
            total = total + product
        return self._activation(total)


class Mlp(keras.layers.Layer):
    """Hidden layers of these units with activation and dropout, over the last axis."""

    def __init__(
        self, units: Sequence[int], *, seed: int, activation: ActivationName = "relu", dropout: float = 0.0
    ) -> None:
        super().__init__(name="mlp")
        self._dense: List[keras.layers.Dense] = []
        for index, size in enumerate(units):
            start = keras.initializers.GlorotUniform(seed=derive(seed, "kernel", index))
            self._dense.append(keras.layers.Dense(size, kernel_initializer=start))
        self._activations = [Activation(activation) for _ in units]
        self._dropouts = [Dropout(dropout, seed=derive(seed, "dropout", i)) for i, _ in enumerate(units) if dropout > 0]

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """x [..., D] to [..., units[-1]]."""
        for index, dense in enumerate(self._dense):
            x = self._activations[index](dense(x), training=training)
            if self._dropouts:
                x = self._dropouts[index](x, training=training)
        return x


    def of_waves(self, waves: tf.Tensor, output: keras.layers.Dense) -> tf.Tensor:
        """output(mlp(x)) of x = (1 + waves) / 2 [M, D], which is never made. Not for training.

        W x + b = (W / 2) waves + (b + (W / 2) 1), so a layer before this one may answer with tanh for a sigmoid.
        """
        first, *others = [*self._dense, output]
        kernel = 0.5 * tf.cast(first.kernel, waves.dtype)
        sums = tf.nn.bias_add(
            tf.matmul(waves, kernel), tf.cast(first.bias, waves.dtype) + tf.reduce_sum(kernel, axis=0)
        )
        if not others:
            return tf.cast(sums, output.compute_dtype)
        x = self._activations[0](sums)
        for dense, activation in zip(others[:-1], self._activations[1:]):
            x = activation(dense(x))
        return output(x)


class SplitMlp(keras.layers.Layer):
    """Hidden layers as in `Mlp` over the concatenation of parts, the first of them a `SplitDense`."""

    def __init__(
        self, units: Sequence[int], parts: int, *, seed: int, activation: ActivationName = "relu", dropout: float = 0.0
    ) -> None:
        super().__init__(name="split_mlp")
        self._first = SplitDense(units[0], parts, seed=derive(seed, "first"))
        self._activation = Activation(activation)
        self._dropout = dropout_layer(dropout, seed=derive(seed, "dropout"))
        self._rest = Mlp(units[1:], seed=derive(seed, "rest"), activation=activation, dropout=dropout)

    def call(self, parts: Sequence[tf.Tensor], training: bool = False) -> tf.Tensor:
        """parts: tensors [..., D_p] whose leading axes broadcast. Returns [..., units[-1]]."""
        x = self._activation(self._first(parts), training=training)
        return self._rest(self._dropout(x, training=training), training=training)

    def make_kernels(self, widths: Sequence[int]) -> None:
        """For parts of these widths; for a caller that adds up products and never calls the layer itself."""
        self._first.build([tf.TensorShape([None, width]) for width in widths])

    def kernel(self, index: int) -> tf.Tensor:
        """Of a part, [D_p, units[0]]."""
        return self._first.kernel(index)

    def of_products(self, products: Sequence[tf.Tensor], training: bool = False) -> tf.Tensor:
        """What all parts add to the first layer, [..., units[0]], to [..., units[-1]]."""
        x = self._activation(self._first.combine(products), training=training)
        return self._rest(self._dropout(x, training=training), training=training)

    def product(self, x: tf.Tensor, index: int, first_row: int = 0) -> tf.Tensor:
        """What x [..., D] adds to the first layer, as `SplitDense.product`."""
        return self._first.product(x, index, first_row)

    def flat_output(self, products: Sequence[tf.Tensor]) -> tf.Tensor:
        """What all parts add to the first layer, [B, N, units[0]] or [B, 1, units[0]], to [B * N, units[-1]].

        Flat, because only a product of two matrices is fused with its bias and activation. Not for training.
        """
        total = self._first.combine(products)
        return self._rest(self._activation(tf.reshape(total, [-1, total.shape[-1]])))


def logit_layer(*, seed: int, bias: bool = True) -> keras.layers.Dense:
    """The last layer, [..., D] to [..., 1]; float32 under every precision policy."""
    start = keras.initializers.GlorotUniform(seed=seed)
    return keras.layers.Dense(1, use_bias=bias, kernel_initializer=start, dtype="float32", name="logit")


def dropout_layer(rate: float, *, seed: int) -> Dropout:
    """Dropout whose state is a variable, so that a checkpoint restores it and a resumed run repeats itself."""
    return Dropout(rate, seed=seed)
