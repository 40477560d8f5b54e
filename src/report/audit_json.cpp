// The scripts' side of report/audit_text.h.
#include <nlohmann/json.hpp>

#include "report/audit_text.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

Json lattice_json(const LatticeReport& lattice) {
  Json extremes = Json::object();
  for (int code = -8; code <= 7; ++code)
    if (const int64_t n = lattice.n_with_extreme[static_cast<size_t>(code + 8)]; n > 0)
      extremes[std::to_string(code)] = n;
  return {{"blocks", lattice.n_blocks},
          {"on_lattice", lattice.n_on_lattice},
          {"share", lattice.share()},
          {"extremes", extremes},
          {"kept_by_plain_q4_0", lattice.n_kept_by_reference},
          {"with_bf16_scale", lattice.n_with_bf16_scale},
          {"with_f16_scale", lattice.n_with_f16_scale}};
}

Json codes_json(const Q4_0Codes& codes) {
  return {
      {"blocks", codes.n_blocks},
      {"with_minus_8", codes.n_with_minus_8},
      {"with_minus_7_only", codes.n_with_minus_7},
      {"negative_scales", codes.n_negative_scales},
      {"without_magnitude", Json(std::vector<int64_t>(codes.n_without.begin() + 1, codes.n_without.end()))},
      {"rederived_share", codes.rederived_share()},
      {"origin", name_of(origin_of(codes))}};
}

Json part_json(const PartFacts& facts) {
  Json json{{"part", name_of(facts.part)},
            {"tensors", facts.n_tensors},
            {"weights", facts.n_elements},
            {"bytes", facts.n_bytes}};
  for (const auto& type : facts.types)
    json["types"].push_back(
        {{"type", type_name(type.type)}, {"tensors", type.n_tensors}, {"bytes", type.n_bytes}});
  return json;
}

Json tensor_json(const TensorAudit& tensor) {
  const BlockCounts& blocks = tensor.scan.blocks;
  Json json{{"name", tensor.name}, {"type", type_name(tensor.type)}, {"part", name_of(tensor.part)}};
  if (blocks.n_blocks > 0) {
    json["blocks"] = blocks.n_blocks;
    json["zero"] = blocks.n_zero;
    json["not_finite"] = blocks.n_not_finite;
  }
  if (tensor.scan.lattice.n_blocks > 0) json["lattice"] = lattice_json(tensor.scan.lattice);
  if (tensor.scan.codes.n_blocks > 0) json["q4_0_codes"] = codes_json(tensor.scan.codes);
  return json;
}

Json special_json(const VocabularyFacts::Special& special) {
  return {{"id", special.token}, {"text", special.text}};
}

Json vocabulary_json(const VocabularyFacts& facts) {
  Json json{{"tokens", facts.n_tokens}, {"merges", facts.n_merges}};
  json["bos"] = facts.bos ? special_json(*facts.bos) : Json(nullptr);
  json["end_of_generation"] = Json::array();
  for (const auto& special : facts.end_of_generation)
    json["end_of_generation"].push_back(special_json(special));
  json["add_bos"] = facts.adds_bos ? Json(*facts.adds_bos) : Json(nullptr);
  return json;
}

Json template_json(const TemplateFacts& facts) {
  Json json{{"present", facts.present}};
  if (facts.present) {
    json["bytes"] = facts.n_bytes;
    json["sha256"] = facts.sha256;
    json["revision"] = facts.revision.empty() ? Json(nullptr) : Json(facts.revision);
    json["same_as_ours"] = facts.same_as_ours;
  }
  return json;
}

void add_digest(const FileDigest& file, Json& json) {
  if (!file.sha256.empty()) json["sha256"] = file.sha256;
  if (!file.expected.empty()) json["expected_sha256"] = file.expected;
}

// The parts of a split model.
Json files_json(const std::vector<FileDigest>& files) {
  Json list = Json::array();
  for (const FileDigest& file : files) {
    Json json{{"file", file.path}, {"bytes", file.n_bytes}};
    add_digest(file, json);
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

std::string to_json(const AuditReport& report) {
  Json json{{"file", report.path},
            {"healthy", report.n_defects() == 0},
            {"defects", report.n_defects()},
            {"scanned", report.is_scanned},
            {"bytes", report.n_bytes}};
  if (report.files.size() == 1) add_digest(report.files.front(), json);
  if (report.files.size() > 1) json["files"] = files_json(report.files);
  json["architecture"] = report.architecture;
  json["name"] = report.name;
  json["size"] = report.published_size.empty() ? Json(nullptr) : Json(report.published_size);
  json["layers"] = report.n_layers;
  json["weights"] = report.n_weights;
  json["tensor_bytes"] = report.n_tensor_bytes;
  json["label"] = report.label;
  json["types"] = report.types;
  json["parts"] = Json::array();
  for (const PartFacts& facts : report.parts) json["parts"].push_back(part_json(facts));
  json["vocabulary"] = vocabulary_json(report.vocabulary);
  json["chat_template"] = template_json(report.chat_template);
  if (report.lattice.n_blocks > 0) json["lattice"] = lattice_json(report.lattice);
  if (report.codes.n_blocks > 0) json["q4_0_codes"] = codes_json(report.codes);
  json["findings"] = Json::array();
  for (const Finding& finding : report.findings)
    json["findings"].push_back({{"severity", finding.severity == Severity::defect ? "defect" : "note"},
                                {"id", finding.id},
                                {"what", finding.what},
                                {"advice", finding.advice}});
  json["tensors"] = Json::array();
  for (const TensorAudit& tensor : report.tensors) json["tensors"].push_back(tensor_json(tensor));
  json["seconds"] = report.seconds;
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace carat
