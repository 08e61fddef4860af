# A program in Python: its fuzzer is one too. By hand: boards.py --seconds 600
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
	add_test(NAME fuzz/boards COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/boards.py
		--rounds 600 ${CMAKE_CURRENT_SOURCE_DIR}/corpus/boards)
	set_tests_properties(fuzz/boards PROPERTIES LABELS fuzz TIMEOUT 120)
endif()
