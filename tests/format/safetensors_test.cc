#include "runtime/format/safetensors.h"

#include <doctest/doctest.h>

#include "runtime/core/error.h"

using namespace bitpilot;

namespace {

/// A file of this header text and data.
std::string file_of(const std::string& header, const std::string& data = "") {
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i)
    bytes += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i) & 0xff);
  return bytes + header + data;
}

bool refused(const std::string& bytes) {
  try {
    parse_safetensors(bytes, "file");
  } catch (const Error& error) {
    return error.code == ExitCode::kData;
  }
  return false;
}

TensorView view(const char* dtype, std::vector<std::int64_t> shape, const std::vector<std::uint8_t>& bytes) {
  return {dtype, std::move(shape), bytes};
}

}  // namespace

TEST_CASE("format/safetensors: what is written is read, in a fixed layout") {
  const std::vector<std::uint8_t> small{1, 2, 3}, large{0, 0, 128, 63, 0, 0, 0, 64}, none;
  const std::map<std::string, TensorView> tensors{
      {"b", view("I8", {3}, small)}, {"z", view("F32", {2, 1}, large)}, {"empty", view("F64", {0, 5}, none)}};
  const std::string bytes = safetensors_bytes({{"key", "value \"quoted\""}}, tensors);
  CHECK(bytes == safetensors_bytes({{"key", "value \"quoted\""}}, tensors));
  const SafeTensors file = parse_safetensors(bytes, "file");
  CHECK(file.metadata.at("key") == "value \"quoted\"");
  REQUIRE(file.tensors.size() == 3);
  CHECK(std::equal(small.begin(), small.end(), file.tensors.at("b").bytes.begin(), file.tensors.at("b").bytes.end()));
  CHECK(std::equal(large.begin(), large.end(), file.tensors.at("z").bytes.begin(), file.tensors.at("z").bytes.end()));
  CHECK(file.tensors.at("z").shape == std::vector<std::int64_t>{2, 1});
  CHECK(file.tensors.at("z").elements() == 2);
  CHECK(file.tensors.at("empty").bytes.empty());
  CHECK(bytes.substr(bytes.size() - 3) == "\1\2\3");  // larger elements first, so that each is aligned
  CHECK((static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) |
         static_cast<std::size_t>(static_cast<unsigned char>(bytes[1])) << 8) %
            8 ==
        0);
}

TEST_CASE("format/safetensors: a file written by another program is read") {
  // As the reference implementation writes it: metadata last or first, trailing spaces, any order of keys.
  const SafeTensors file = parse_safetensors(
      file_of(R"({"w":{"shape":[2],"data_offsets":[0,4],"dtype":"F16"},"__metadata__":{"format":"pt"}}  )", "abcd"),
      "file");
  CHECK(file.tensors.at("w").dtype == "F16");
  CHECK(file.metadata.at("format") == "pt");
  CHECK(parse_safetensors(file_of("{}"), "file").tensors.empty());
}

TEST_CASE("format/safetensors: hostile headers are refused") {
  const std::vector<std::pair<const char*, std::string>> cases{
      {"no bytes", ""},
      {"seven bytes", std::string(7, '\0')},
      {"header of 0 bytes", file_of("")},
      {"header longer than the file", std::string("\xff\0\0\0\0\0\0\0{}", 10)},
      {"header of 2^64-1 bytes", std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)},
      {"header over 1 MiB", file_of("{}" + std::string(1 << 20, ' '))},
      {"no object", file_of("[]")},
      {"leading space", file_of(" {}")},
      {"no JSON", file_of("{\"a\":")},
      {"invalid UTF-8", file_of("{\"\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")},
      {"two values", file_of("{}{}")},
      {"deep nesting", file_of("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}")},
      {"many values", file_of("{\"a\":[" + std::string(400000, '0').insert(1, ",") + "]}")},
      {"trailing data", file_of("{}", "x")},
      {"a tensor twice",
       file_of(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
           "x")},
      {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})")},
      {"metadata that is no text", file_of(R"({"__metadata__":{"a":1}})")},
      {"metadata with a NUL", file_of("{\"__metadata__\":{\"a\":\"b\\u0000c\"}}")},
      {"overlap",
       file_of(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
           "xyz")},
      {"the same bytes twice",
       file_of(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
           "xy")},
      {"hole",
       file_of(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
           "xyz")},
      {"hole at the start", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "xy")},
      {"end behind the data", file_of(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", "xy")},
      {"begin behind end", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", "x")},
      {"negative offset", file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[-1,1]}})", "x")},
      {"offset of 2^63", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,9223372036854775808]}})", "x")},
      {"one offset", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1]}})", "x")},
      {"fractional offset", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1.0]}})", "x")},
      {"bytes that do not fit the shape", file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1]}})", "x")},
      {"negative dimension", file_of(R"({"a":{"dtype":"U8","shape":[-1,-1],"data_offsets":[0,1]}})", "x")},
      {"dimensions that overflow to 0",
       file_of(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})")},
      {"element size overflows",
       file_of(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})")},
      {"rank 9", file_of(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", "x")},
      {"shape that is a number", file_of(R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", "x")},
      {"unknown dtype", file_of(R"({"a":{"dtype":"I4","shape":[1],"data_offsets":[0,1]}})", "x")},
      {"no dtype", file_of(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "x")},
      {"unknown key", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"path":"/etc/passwd"}})", "x")},
      {"tensor that is a number", file_of(R"({"a":3})")},
      {"empty name", file_of(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")},
      {"NUL in a name", file_of("{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", "x")},
      {"name of 513 bytes",
       file_of("{\"" + std::string(513, 'a') + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")},
  };
  for (const auto& [what, bytes] : cases) {
    INFO(std::string(what));
    CHECK(refused(bytes));
  }
  // The same table's base case is sound.
  CHECK_FALSE(refused(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")));
}

TEST_CASE("format/safetensors: a tensor whose bytes do not fit its shape is not written") {
  const std::vector<std::uint8_t> bytes{1, 2, 3};
  CHECK_THROWS_AS(safetensors_bytes({}, {{"a", view("I16", {2}, bytes)}}), Error);
  CHECK_THROWS_AS(safetensors_bytes({}, {{"a", view("I3", {3}, bytes)}}), Error);
  CHECK_THROWS_AS(safetensors_bytes({{"a", std::string(1 << 20, 'x')}}, {}), Error);
}
