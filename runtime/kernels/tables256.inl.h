// No guard and no #include, on purpose: see conv_tables.inl.h.  Which layers may use product tables, and their input.

static void conv_by_tables(const PreparedTask& task) {
  if (task.packing.lanes == Packing::Lanes::kPixels) return conv_by_table_pixels(task);
  conv_by_table_filters(task);
}

/// Adds the packings that such a layer can use; returns how many `legal` then holds.
static int table_packings(const ConvShape& shape, Packing (&legal)[kMaxPackings], int count) {
  if (!tables_fit(shape)) return count;
  const Packing by_filters{Packing::Format::kTables, kTableFilters, Packing::Lanes::kFilters};
  const Packing by_pixels{Packing::Format::kTables, 4, Packing::Lanes::kPixels};
  const bool filters = shape.out % kTableFilters == 0, pixels = shape.code_bound <= 3;
  // Two blocks of filters share their tables; few positions leave half a vector of them empty.
  const bool filters_first =
      filters && (shape.active_out % (2 * kTableFilters) == 0 || shape.width * shape.height < 4 * kTablePositions);
  if (filters && filters_first) legal[count++] = by_filters;
  if (pixels) legal[count++] = by_pixels;
  if (filters && !filters_first) legal[count++] = by_filters;
  return count;
}

/// packings256 with those of tables before or behind.
static int packings_with_tables256(const ConvShape& shape, bool bytes, bool tables_first,
                                   Packing (&legal)[kMaxPackings]) {
  if (tables_first) return packings256(shape, bytes, legal, table_packings(shape, legal, 0));
  return table_packings(shape, legal, packings256(shape, bytes, legal, 0));
}

/// Pairs of codes of one vector of quads, 16 bits each.
static inline Vec pairs_of(const std::uint8_t* from, int bits) {
  const Vec mask = _mm256_set1_epi8(static_cast<char>((1 << bits) - 1));  // whatever stands there, the table exists
  const Vec factors = _mm256_set1_epi16(static_cast<std::int16_t>(1 | 256 << bits));
  return _mm256_maddubs_epi16(_mm256_and_si256(load(from), mask), factors);
}

/// One byte a position, the pairs apart.
static void pair_pixels(const PairTask& task) {
  const Vec order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7), low = _mm256_set1_epi16(255);
  const std::size_t pair_plane = task.dst_plane / 2;
  for (int quad = 0; quad < task.quads; ++quad) {
    const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane;
    std::uint8_t* dst = task.dst + static_cast<std::size_t>(quad) * task.dst_plane;
    for (std::size_t at = 0; at < task.src_plane; at += 4 * sizeof(Vec), src += 4 * sizeof(Vec), dst += sizeof(Vec)) {
      const Vec first = _mm256_packus_epi16(pairs_of(src, 2), pairs_of(src + sizeof(Vec), 2));
      const Vec second = _mm256_packus_epi16(pairs_of(src + 2 * sizeof(Vec), 2), pairs_of(src + 3 * sizeof(Vec), 2));
      const Vec p0 = _mm256_packus_epi16(_mm256_and_si256(first, low), _mm256_and_si256(second, low));
      const Vec p1 = _mm256_packus_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8));
      _mm256_storeu_si256(reinterpret_cast<Vec*>(dst), _mm256_permutevar8x32_epi32(p0, order));
      _mm256_storeu_si256(reinterpret_cast<Vec*>(dst + pair_plane), _mm256_permutevar8x32_epi32(p1, order));
    }
  }
}

static void pair(const PairTask& task) {
  if (task.packing.lanes == Packing::Lanes::kPixels) return pair_pixels(task);
  const int bits = table_bits(task.code_bound);
  for (std::size_t at = 0; at < task.src_plane * static_cast<std::size_t>(task.quads); at += sizeof(Vec)) {
    const Vec places = _mm256_slli_epi16(pairs_of(task.src + at, bits), 5);  // 32 bytes a table
    _mm256_storeu_si256(reinterpret_cast<Vec*>(task.dst + at), places);
  }
}
