# One object per instruction set, each with its own flags and optimised in every build type (kernels at -O0 are
# fifty times slower). The list of ISAs that the program chooses from stands in cpu/dispatch.cpp.
function(carat_isa name)
  set(source ${CMAKE_SOURCE_DIR}/src/kernels/cpu/isa_${name}.cpp)
  target_sources(carat_kernels PRIVATE ${source})
  # g++ 12 reports its own "undefined" vectors in avx512fintrin.h.
  set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
    "-O3;$<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized;-Wno-maybe-uninitialized>;${ARGN}")
endfunction()

carat_isa(scalar)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  carat_isa(avx2 -mavx2 -mfma -mf16c)
  carat_isa(avxvnni -mavx2 -mfma -mf16c -mavxvnni)
  carat_isa(avx512vnni -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
endif()
