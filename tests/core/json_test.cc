#include "runtime/core/json.h"

#include <doctest/doctest.h>

using namespace bitpilot;

namespace {

/// Message of the Error that parsing or reading raises, "" if none.
template <typename Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kData);
    return error.what();
  }
  return "";
}

std::string parse_message(const std::string& text) {
  return message_of([&] { parse_json(text, "file.json"); });
}

bool mentions(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("core/json: text that is no JSON is refused with its place") {
  CHECK(mentions(parse_message("{\"a\":}"), "file.json"));
  for (const char* text : {"", "{", "[1,]", "{\"a\" 1}", "nul", "\"\xff\"", "1e999", "{} {}", "[NaN]"}) {
    INFO(std::string(text));
    CHECK_FALSE(parse_message(text).empty());
  }
  CHECK(parse_json("[1, 2.5, \"x\"]", "here").size() == 3);
}

TEST_CASE("core/json: a key that stands twice is refused, the same key elsewhere is not") {
  CHECK(mentions(parse_message(R"({"a":1,"b":{"a":2},"a":3})"), "twice"));
  CHECK(parse_message(R"({"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]})").empty());
}

TEST_CASE("core/json: nesting deeper than 32 is refused") {
  CHECK(parse_message(std::string(32, '[') + std::string(32, ']')).empty());
  CHECK(mentions(parse_message(std::string(33, '[') + std::string(33, ']')), "deeper"));
  CHECK_FALSE(parse_message(std::string(1000000, '[')).empty());
}

TEST_CASE("core/json: the number of values is bounded") {
  CHECK(message_of([] { parse_json("[1,2,3]", "x", 4); }).empty());
  CHECK(mentions(message_of([] { parse_json("[1,2,3,4]", "x", 4); }), "too many"));
}

TEST_CASE("core/json: an unknown key names the nearest known one") {
  const nlohmann::json json = parse_json(R"({"learning_rat": 1})", "recipe.json");
  const std::string message = message_of([&] { JsonReader(json, "recipe.json").allow({"learning_rate", "epochs"}); });
  CHECK(mentions(message, "learning_rat\""));
  CHECK(mentions(message, "did you mean \"learning_rate\"?"));
}

TEST_CASE("core/json: getters check type and range and say where") {
  const nlohmann::json json =
      parse_json(R"({"a":{"b":[1,-2,3.5,"x",true,null,1e300,18446744073709551615]}})", "r.json");
  const JsonReader list = JsonReader(json, "r.json").at("a").at("b");
  CHECK(list.at(0).integer(1, 1) == 1);
  CHECK(list.at(1).integer(-5, 5) == -2);
  CHECK(list.at(2).number(0, 10) == 3.5);
  CHECK(list.at(0).number(0, 10) == 1.0);
  CHECK(list.at(3).text() == "x");
  CHECK(list.at(4).boolean());
  CHECK(mentions(message_of([&] { list.at(0).integer(2, 3); }), "r.json: a.b[0]"));
  CHECK_FALSE(message_of([&] { list.at(2).integer(0, 10); }).empty());
  CHECK_FALSE(message_of([&] { list.at(7).integer(0, INT64_MAX); }).empty());
  CHECK_FALSE(message_of([&] { list.at(6).number(0, 1); }).empty());
  CHECK_FALSE(message_of([&] { list.at(5).number(0, 1); }).empty());
  CHECK_FALSE(message_of([&] { list.at(4).integer(0, 1); }).empty());
  CHECK_FALSE(message_of([&] { list.at(3).boolean(); }).empty());
  CHECK_FALSE(message_of([&] { list.at(8); }).empty());
  CHECK_FALSE(message_of([&] { list.at(3).text(0); }).empty());
  CHECK(mentions(message_of([&] { JsonReader(json, "r.json").at("c"); }), "\"c\" is missing"));
  CHECK_FALSE(message_of([&] { list.at("key"); }).empty());
}

TEST_CASE("core/json: a NUL in a text is refused") {
  const nlohmann::json json = parse_json("[\"a\\u0000b\"]", "x");
  CHECK(mentions(message_of([&] { JsonReader(json, "x").at(0).text(); }), "NUL"));
}

TEST_CASE("core/json: optional members fall back, present ones are still checked") {
  const nlohmann::json json = parse_json(R"({"n":3,"t":"x","b":true,"f":0.5})", "x");
  const JsonReader reader(json, "x");
  CHECK(reader.integer("n", 0, 5, 9) == 3);
  CHECK(reader.integer("missing", 0, 5, 9) == 9);
  CHECK(reader.number("f", 0, 1, 2) == 0.5);
  CHECK(reader.text("t", "y") == "x");
  CHECK(reader.text("missing", "y") == "y");
  CHECK(reader.boolean("b", false));
  CHECK_FALSE(message_of([&] { reader.integer("n", 0, 2, 1); }).empty());
}

TEST_CASE("core/json: values from the command line are a usage error") {
  const nlohmann::json json = 3;
  try {
    JsonReader(json, "--set a", ExitCode::kUsage).text();
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kUsage);
  }
}
