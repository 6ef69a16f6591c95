#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitpilot {

/// One tensor of a safetensors file, a view into the file's bytes (little endian, row-major).
struct TensorView {
  std::string dtype;  ///< "F64" "F32" "F16" "BF16" "I64" "I32" "I16" "I8" "U64" "U32" "U16" "U8" "BOOL"
  std::vector<std::int64_t> shape;
  std::span<const std::uint8_t> bytes;
  std::int64_t elements() const;
};

struct SafeTensors {
  std::map<std::string, std::string> metadata;
  std::map<std::string, TensorView> tensors;
};

/// Bytes of one element of a dtype, 0 for an unknown one.
std::size_t dtype_size(const std::string& dtype);

/// Reads the safetensors format strictly: header of at most 1 MiB, JSON depth <= 32, every key once, rank <= 8, checked
/// products, tensors that cover the data without hole or overlap.  The views point into `bytes`.  Throws Error(kData);
/// allocates nothing from a size in the file.
SafeTensors parse_safetensors(std::string_view bytes, const std::string& where);

/// The file: 8 bytes of header length, header (padded to 8 bytes), data in order of element size (largest first), then
/// name. The same contents give the same bytes.  Throws Error(kBug) if a tensor's bytes do not fit its shape or the
/// header exceeds 1 MiB.
std::string safetensors_bytes(const std::map<std::string, std::string>& metadata,
                              const std::map<std::string, TensorView>& tensors);

}  // namespace bitpilot
