// No guard and no #include, on purpose: see vectors512.inl.h.  Which loop a layer takes.

/// The packings of such a layer, behind the `count` that `legal` holds already; returns how many it then holds.
static int packings512(const ConvShape& shape, Packing (&legal)[kMaxPackings], int count) {
  const bool bytes = shape.lowest >= -128 && shape.highest <= 127;
  const Packing by_filters{Packing::Format::kBytes, kLanes, Packing::Lanes::kFilters};
  Packing by_pixels{bytes ? Packing::Format::kBytes : Packing::Format::kWords, 4, Packing::Lanes::kPixels};
  if (!bytes || shape.depthwise) {
    const Packing by_rows{by_pixels.format, 4, Packing::Lanes::kRows};
    // A row of the window in a lane takes three products where quads of channels take one.
    if (bytes && shape.kernel == 3 && shape.stride <= 2) legal[count++] = {by_pixels.format, 4, Packing::Lanes::kTaps};
    // A depthwise layer has too little to compute to make up for a copy, unless its rows leave lanes empty.
    const bool rows_first = shape.stride == 2 && shape.width >= kLanes;
    if (rows_first) legal[count++] = by_rows;
    legal[count++] = by_pixels;
    if (shape.stride == 2 && !rows_first) legal[count++] = by_rows;
    return count;
  }
  by_pixels.group = 8;
  // Few filters share too few broadcasts, and a 1x1 layer has little work to share the cost of a tile.
  const bool filters_first =
      shape.active_out % (2 * kLanes) == 0 && (shape.stride == 2 || shape.kernel > 1 || shape.width <= kLanes / 2);
  if (shape.stride <= 2 && filters_first) legal[count++] = by_filters;
  legal[count++] = by_pixels;
  if (shape.stride <= 2 && !filters_first) legal[count++] = by_filters;
  return count;
}

static void conv512(const PreparedTask& task) {
  if (task.packing.lanes == Packing::Lanes::kFilters)
    conv_by_filters<Bytes, 8>(task);
  else if (task.packing.lanes == Packing::Lanes::kTaps)
    conv_depthwise<Bytes>(task);
  else if (task.packing.format == Packing::Format::kWords && task.quad_step == 1)
    conv_by_pixels<OwnWords, 4, 4, 4>(task);
  else if (task.packing.format == Packing::Format::kWords)
    conv_by_pixels<Words, 4, 4, 4>(task);
  else if (task.packing.group == 4)
    conv_by_pixels<Bytes, 4, 4, 4>(task);
  else
    conv_by_pixels<Bytes, 8, 3, 8>(task);
}
