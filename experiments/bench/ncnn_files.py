"""ncnn's own format, written from a QDQ graph: what experiments/bench/peers gives to ncnn."""

NCNN_INT8 = 0x000D4B38  # tag of raw int8 weights in ncnn's binary format


def ncnn_files(model):
    """A QDQ graph in ncnn's own format: int8 layers with float values in between, as ncnn's quantised networks are.  Returns the parameter
    text, the weights and the factor from picture codes to what the first layer reads."""
    import numpy
    from onnx import numpy_helper
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    made_by = {n.output[0]: n for n in model.graph.node}
    lines, weights, alias, counts = [], b"", {}, {}

    def real(name):  # the float blob behind quantisers
        while made_by[name].op_type in ("QuantizeLinear", "DequantizeLinear", "Clip") if name in made_by else False:
            name = made_by[name].input[0]
        return alias.get(name, name)

    def step_of(name):  # of the code that a layer reads, through pools and Flatten
        while made_by[name].op_type != "DequantizeLinear":
            name = made_by[name].input[0]
        return float(constants[made_by[name].input[1]])

    def attributes(node):
        return {a.name: (a.i if a.type == 2 else list(a.ints)) for a in node.attribute}

    for node in model.graph.node:
        op, out = node.op_type, node.output[0]
        if op in ("QuantizeLinear", "DequantizeLinear", "Clip"):
            continue
        src = [real(name) for name in node.input[:2 if op == "Add" else 1]]
        if op == "Flatten":
            alias[out] = src[0]
            continue
        more = attributes(node)
        if op in ("Conv", "Gemm"):
            codes = constants[made_by[node.input[1]].input[0]]
            scales, steps = constants[made_by[node.input[1]].input[1]], step_of(node.input[0])
            bias = constants[made_by[node.input[2]].input[0]] * constants[made_by[node.input[2]].input[1]]
            size = codes.size
            if op == "Gemm":
                kind, params = "InnerProduct", f"0={codes.shape[0]} 1=1 2={size} 8=1"
            else:
                kind = "ConvolutionDepthWise" if more["group"] > 1 else "Convolution"
                params = f"0={codes.shape[0]} 1={codes.shape[2]} 3={more['strides'][0]} 4={more['pads'][0]} 5=1 6={size} 8=1"
                params += f" 7={more['group']}" if more["group"] > 1 else ""
            raw = codes.tobytes()
            weights += NCNN_INT8.to_bytes(4, "little") + raw + b"\0" * (-len(raw) % 4) + bias.astype("<f4").tobytes()
            weights += (1 / scales).astype("<f4").tobytes() + numpy.float32(1 / steps).tobytes()
        elif op == "Add":
            kind, params = "BinaryOp", "0=0"
        elif op == "Relu":
            kind, params = "ReLU", ""
        elif op == "GlobalAveragePool":
            kind, params = "Pooling", "0=1 4=1"
        else:
            kind, params = "Pooling", f"0=0 1={more['kernel_shape'][0]} 2={more['strides'][0]} 3={more['pads'][0]} 5=1"
        lines.append([kind, src, out, params])
        for name in src:
            counts[name] = counts.get(name, 0) + 1
    # A blob that several layers read needs a Split.
    text, blobs, used = [["Input", "image", [], ["image"], ""]], 1, {}
    for kind, src, out, params in [["", [], "image", ""], *lines]:
        if kind:
            read = []
            for name in src:
                read.append(name if counts[name] == 1 else f"{name}_{used.get(name, 0)}")
                used[name] = used.get(name, 0) + 1
            text.append([kind, out, read, [out], params])
            blobs += 1
        if counts.get(out, 0) > 1:
            text.append(["Split", out + "_split", [out], [f"{out}_{i}" for i in range(counts[out])], ""])
            blobs += counts[out]
    rows = [f"{kind} {name} {len(read)} {len(wrote)} {' '.join([*read, *wrote])} {params}".rstrip() for kind, name, read, wrote, params in text]
    return f"7767517\n{len(rows)} {blobs}\n" + "\n".join(rows) + "\n", weights, float(constants["image.scale"])
